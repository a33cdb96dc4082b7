"""Which page of the docs tells of a result file, or of a method."""

from functools import cache
from pathlib import Path

DOCS = Path(__file__).resolve().parents[1]


def page_of(file: str) -> str:
    """A link to it from a card, with a comma before; "" where no page names the file."""
    for path, text in _pages():
        if file in text:
            title = text.splitlines()[0].removeprefix("# ")
            return f", [{title}](../../{path})"
    return ""


def written_card(method: str) -> str:
    """The page of docs/methods with the card of a method that is written by hand."""
    for path in sorted((DOCS / "methods").glob("*.md")):
        if f"\n## {method}\n" in path.read_text("utf-8"):
            return path.name
    raise LookupError(f"no page of docs/methods has a card '## {method}'")


@cache
def _pages() -> tuple[tuple[str, str], ...]:
    """Pages of evidence first, then the results."""
    paths = [*sorted((DOCS / "evidence").glob("*.md")), DOCS / "results.md"]
    paths = [path for path in paths if path.stem != "words"]
    return tuple((path.relative_to(DOCS).as_posix(), path.read_text("utf-8")) for path in paths)
