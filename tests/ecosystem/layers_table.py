"""The table of docs/layers.md; `PYTHONPATH=tests python -m ecosystem.layers_table` writes it."""

from pathlib import Path

from ecosystem.architectures import LAYERS, Architecture

PAGE = Path(__file__).parents[2] / "docs" / "layers.md"
START = "| network | image | levels | last map | head |\n"


def table() -> str:
    """A row for each network: its levels with channels and side, its last map, its head."""
    rows = [f"| {name} | {of.side} | {levels(of)} | `{of.last}` | `{of.head}` |"
            for name, of in LAYERS.items()]  # fmt: skip
    return "\n".join([START + "|---|---|---|---|---|", *rows]) + "\n"


def levels(of: Architecture) -> str:
    """The levels of a network, as in ``layer1`` 64 at 8.

    >>> levels(Architecture(None, 32, "layer1=64x8 layer2=128x4", "layer2", "fc"))
    '`layer1` 64 at 8, `layer2` 128 at 4'
    """
    told = []
    for level in of.levels.split():
        tap, _, shape = level.rpartition("=")
        channels, side = shape.split("x")
        told.append(f"`{tap}` {channels} at {side}")
    return ", ".join(told)


def page() -> str:
    """The page with the table as it should be; what stands above it stays."""
    above, _, _ = PAGE.read_text(encoding="utf-8").partition(START)
    return above + table()


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
