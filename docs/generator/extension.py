"""The Sphinx extension of the site: generated pages, links that leave it, and a list of these."""

import re
import sys
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

OUTSIDE = {"README": "/index.md", "CONTRIBUTING": "/contributing.md", "CHANGELOG": "/changelog.md"}
"""Files beside docs/ and the pages that stand for them."""
LINKS = "external-links.txt"


def write_pages(app: Sphinx, _config: object) -> None:
    """Write what the package knows of itself; a page that is the same is let alone."""
    from generator import api, commands, methods, recipe_keys

    pages = {"commands.md": commands.page(), "recipe-keys.md": recipe_keys.page()}
    pages |= methods.cards() | api.pages()
    folder = Path(app.srcdir) / "generated"
    for path in folder.rglob("*.md"):
        if path.relative_to(folder).as_posix() not in pages:
            path.unlink()
    for name, text in pages.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")


def outside_links(_app: Sphinx, _name: str, source: list[str]) -> None:
    """Links to files of the repository that are pages here under another name."""
    source[0] = re.sub(
        rf"\]\((?:\.\./)+({'|'.join(OUTSIDE)})\.md", lambda m: f"]({OUTSIDE[m[1]]}", source[0]
    )


def collect_links(app: Sphinx, doctree: nodes.document, name: str) -> None:
    """Remember which page names which address."""
    known = app.env.__dict__.setdefault("stillhouse_links", {})
    known[name] = sorted(
        {node["refuri"] for node in doctree.findall(nodes.reference)
         if node.get("refuri", "").startswith(("http://", "https://"))}
    )  # fmt: skip


def list_links(app: Sphinx, error: Exception | None) -> None:
    """Write the addresses that leave the site: there is no network to ask them in."""
    if error is None:
        by_page: dict[str, list[str]] = getattr(app.env, "stillhouse_links", {})
        lines = [f"{uri}  {name}" for name, uris in sorted(by_page.items()) for uri in uris]
        (Path(app.outdir) / LINKS).write_text("\n".join(sorted(lines)) + "\n", "utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("config-inited", write_pages)
    app.connect("source-read", outside_links)
    app.connect("doctree-resolved", collect_links)
    app.connect("build-finished", list_links)
    return {"parallel_read_safe": True, "parallel_write_safe": False}
