"""The documentation site: ``make docs`` builds it with Sphinx, warnings being errors.

Pages are Markdown (MyST), notebooks are shown as they were executed, and what the package knows of
itself (methods, recipe keys, commands, docstrings) is written into ``docs/generated`` before
each build by ``docs/generator``. Neither a network, nor data, nor a GPU is needed.
"""

import sys
from importlib.metadata import version as version_of
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS))

project = "Stillhouse"
author = "The Stillhouse developers"
version = release = version_of("stillhouse")

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "generator.extension",
]
exclude_patterns = ["generator", "notebooks/*.py", "_build"]
nitpicky = False  # docstrings name types of torch and numpy, whose inventories would be a network

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4
myst_url_schemes = ("http", "https", "mailto")
nb_execution_mode = "off"  # notebooks are stored with their outputs, and executed by a test

# A single backquote in a docstring names a thing; it is shown as code whether or not it is a link.
default_role = "code"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_custom_sections = [
    ("Shapes", "notes_style"),
    ("Paper", "notes_style"),
    ("Differs from the authors' code", "notes_style"),
]
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # types stand in the signature's own words in the docstring
smartquotes = False  # they make a dash of the two of an option
python_maximum_signature_line_length = 88

html_theme = "furo"
html_title = f"Stillhouse {version}"
html_show_sphinx = html_show_copyright = False
html_copy_source = False
html_static_path = ["generator/static"]
html_css_files = ["site.css"]
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#2a5a8c", "color-brand-content": "#2a5a8c"},
    "dark_css_variables": {"color-brand-primary": "#8fbbe8", "color-brand-content": "#8fbbe8"},
}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
