"""What all pages share: templates, rules, scripts, the data of the figures, and what a page may do.

A page is one file. Its policy lets in nothing but the scripts and rules written here, by hash.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stillhouse.faults import system_faults
from stillhouse.records.files import write_bytes
from stillhouse.records.own_code import called
from stillhouse.records.run import REPORT
from stillhouse.report import palette, wording
from stillhouse.report.theme import CONFIG, FONT, MONO

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

SECTIONS = "sections"
PLOTLY = "vendored/plotly-basic.min.js"
TRACES = {"scatter", "bar", "pie"}
"""What this bundle of plotly.js can draw."""
SCRIPTS = ("figures.js", "tables.js", "downloads.js", "pictures.js", "paper.js")
NOTHING = ""
"""plotly.js makes itself an empty style element, and fills it by rule: the policy lets it in."""
FILTERS: tuple[Callable[..., str], ...] = (
    wording.percent,
    wording.count,
    wording.size,
    wording.duration,
    wording.times,
    wording.moment,
    wording.typeset,
    called,
)


def render_page(
    template: str, figures: Mapping[str, Any], *, rules: Sequence[str] = (), **said: Any
) -> str:
    """Return a whole page; every text in ``said`` is escaped.

    Args:
        template: a file of this folder that extends ``frame.html.jinja``.
        figures: plotly figures by name, in the order in which the page shows them.
        rules: further files of rules.
        said: what the template shows.
    """
    from markupsafe import Markup

    style = _style(("page.css", *rules))
    scripts = _scripts() if figures else _scripts()[1:]
    return (
        page_environment()
        .get_template(template)
        .render(
            figures=figures,
            style=Markup(style),  # noqa: S704  (our own text)
            scripts=[Markup(script) for script in scripts],  # noqa: S704  (our own text)
            page_data=page_data(figures),
            policy=policy(scripts, style),
            **said,
        )
    )


def write_page(directory: Path, page: str) -> Path:
    """Write a page as the directory's ``report.html``; the old one stays until it is whole.

    Raises:
        SystemFault: the directory cannot be written to.
    """
    path = directory / REPORT
    with system_faults():
        # A lone surrogate is legal in JSON and not in UTF-8: it is shown as '?'.
        write_bytes(path, page.encode("utf-8", errors="replace"))
    return path


@cache  # it keeps the sections compiled
def page_environment() -> "Environment":
    """Jinja with every text escaped, the filters that say numbers, and the sections."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        loader=FunctionLoader(_template_text),
    )
    environment.filters.update({say.__name__: say for say in FILTERS})
    environment.globals |= {"compared": wording.compared, "flat": wording.flat}
    return environment


def own_text(name: str) -> str:
    """A file of this folder."""
    return files("stillhouse.report").joinpath(name).read_text(encoding="utf-8")


def _template_text(name: str) -> str:
    here = files("stillhouse.report").joinpath(name)
    return own_text(name if here.is_file() else f"{SECTIONS}/{name}")


@cache
def _scripts() -> tuple[str, ...]:
    """plotly.js, and our own in one."""
    own = "".join(own_text(f"scripts/{name}") for name in SCRIPTS)
    return own_text(PLOTLY), own


def _style(names: Iterable[str]) -> str:
    fonts = f":root {{\n  --font: {FONT};\n  --mono: {MONO};\n}}\n"
    return fonts + palette.rules() + "".join(own_text(name) for name in names)


def policy(scripts: Iterable[str], style: str) -> str:
    """The Content-Security-Policy of a page: no network, nothing that is not written in it.

    >>> policy(["f()"], "")[:62]
    "default-src 'none'; script-src 'sha256-GcEEE0IkDzIP5EQ6DXZaDPO"
    """
    allowed = {
        "default-src": ["'none'"],
        "script-src": [_hashed(script) for script in scripts],
        "style-src": [_hashed(style), _hashed(NOTHING)],
        "img-src": ["data:", "blob:"],  # pictures of a gallery; a figure on its way to a PNG
        "base-uri": ["'none'"],
        "form-action": ["'none'"],
    }
    return "; ".join(f"{what} {' '.join(sources)}" for what, sources in allowed.items())


def _hashed(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


def page_data(figures: Mapping[str, Any]) -> "Markup":
    """The figures and both palettes as JSON that can stand inside a page.

    Raises:
        ValueError: a figure has a trace that the bundle of the pages cannot draw.
    """
    from markupsafe import Markup

    told = {name: json.loads(figure.to_json()) for name, figure in figures.items()}
    for name, figure in told.items():
        unknown = {trace.get("type", "scatter") for trace in figure["data"]} - TRACES
        if unknown:
            raise ValueError(f"figure '{name}' has {unknown}; a page draws {sorted(TRACES)} alone")
    data = {
        "colours": {"light": dict(palette.LIGHT), "dark": dict(palette.DARK)},
        "config": CONFIG,
        "figures": told,
    }
    text = json.dumps(data, separators=(",", ":"))
    # Within a script element nothing is text but what ends it or opens another.
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))  # noqa: S704
