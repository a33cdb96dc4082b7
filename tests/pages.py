"""Pages of the docs and what stands in their fences."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and the line where it begins."""

    language: str
    text: str
    line: int

    @property
    def commands(self) -> list[list[str]]:
        """The lines that call stillhouse, as words, comments left out."""
        lines = re.findall(r"^(?:.* -m )?stillhouse (.*?)(?:\s+#.*)?$", self.text, re.MULTILINE)
        joined = [line.strip() for line in lines]
        return [re.findall(r"\"[^\"]*\"|\S+", line) for line in joined]


def blocks(page: Path) -> list[Block]:
    """All fenced blocks of a page, in order."""
    text = page.read_text("utf-8").replace("\\\n", " ")
    found = re.finditer(r"^```([\w{}-]*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [Block(m[1], m[2], text[: m.start()].count("\n") + 1) for m in found]


def pages() -> list[Path]:
    """Pages that are written by hand."""
    found = sorted(DOCS.rglob("*.md"))
    return [page for page in found if page.relative_to(DOCS).parts[0] != "generated"]
