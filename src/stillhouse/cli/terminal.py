"""The terminal that commands print on, and tables that fit it without cutting a number.

A table is printed as it is where it fits; else with its free texts folded; else, of few rows,
turned round, a column for each; else in several tables, each with some of the columns; else row
after row, with a line for each column. A file or a pipe has no edge, unless COLUMNS gives one.
"""

import os
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from stillhouse.records.metric import MINUS

NO_EDGE = 10_000
"""Columns of a log."""
LEAST_TEXT = 16
"""Letters to which a column of free text may be folded; narrower, names cannot be read."""
MOST_TURNED = 5
"""Rows of a table that is turned round; more would be as wide as it was."""


class Terminal(Console):
    """A console in which a minus is the sign of ASCII: not every terminal can write another."""

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, **options)
        edge = self.is_terminal or options.get("width") or os.environ.get("COLUMNS", "").isdigit()
        if not edge:
            self.width = NO_EDGE

    def render_str(self, text: str, **options: Any) -> Text:
        """A string as it is printed."""
        return super().render_str(text.replace(MINUS, "-"), **options)

    def table(self, table: Table) -> None:
        """Print a table so that it fits."""
        self.print(self.fitted(table))

    def fitted(self, table: Table) -> RenderableType:
        """The table, or what it becomes where it is too wide."""
        wide = self._widths(table)
        room, gaps = self.width, 2 * (len(wide) - 1)
        for column, width in zip(table.columns, wide, strict=True):
            if column.overflow != "fold":
                column.no_wrap, column.min_width = True, width
        if sum(wide) + gaps <= room:
            return table
        free = sum(c.overflow == "fold" for c in table.columns)
        fixed = sum(w for c, w in zip(table.columns, wide, strict=True) if c.overflow != "fold")
        if free and fixed + free * LEAST_TEXT + gaps <= room:
            return table
        turned = self._turned(table) if table.row_count <= MOST_TURNED else None
        if turned is not None and sum(self._widths(turned)) + 2 * table.row_count <= room:
            return turned
        name = min(wide[0], max(LEAST_TEXT, room // 3))
        if len(wide) > 2 and name + 2 + max(wide[1:]) <= room:
            return self._split(table, [name, *wide[1:]])
        return self._stacked(table)

    def _widths(self, table: Table) -> list[int]:
        """How wide each column would be by itself."""
        return [
            max(self.measure(cell).maximum for cell in (column.header, *column.cells))
            for column in table.columns
        ]

    def _turned(self, table: Table) -> Table:
        """A row for each column."""
        turned = _empty(table)
        names, *others = table.columns
        turned.add_column(names.header, style="dim", no_wrap=True)
        styles = [row.style for row in table.rows]
        for name, style in zip(names.cells, styles, strict=True):
            turned.add_column(name, style=style or "", no_wrap=True)
        for column in others:
            turned.add_row(column.header, *column.cells)
        return turned

    def _split(self, table: Table, wide: list[int]) -> Group:
        """Several tables below each other, each with the names of the rows."""
        groups: list[list[int]] = [[]]
        for at, width in enumerate(wide[1:], start=1):
            taken = wide[0] + sum(wide[column] + 2 for column in groups[-1])
            if taken + 2 + width > self.width:
                groups.append([])
            groups[-1].append(at)
        return Group(*(self._part(table, [0, *group], wide[0]) for group in groups))

    def _part(self, table: Table, columns: list[int], name: int) -> Table:
        """A table of some of the columns, with an empty line below it."""
        part = _empty(table)
        for at in columns:
            column = table.columns[at]
            width = {"width": name, "overflow": "fold"} if at == 0 else {"no_wrap": True}
            part.add_column(column.header, justify=column.justify, **width)
        cells = [list(table.columns[at].cells) for at in columns]
        for row, values in zip(table.rows, zip(*cells, strict=True), strict=True):
            part.add_row(*values, style=row.style)
        if columns[-1] != len(table.columns) - 1:
            part.add_row()
        return part

    def _stacked(self, table: Table) -> Table:
        """Row after row, each under its name."""
        stacked = Table.grid(padding=(0, 2))
        stacked.title, stacked.title_justify = table.title, "left"
        stacked.add_column(style="dim", no_wrap=True)
        stacked.add_column(overflow="fold")
        for at, row in enumerate(table.rows):
            name, *cells = ([*column.cells][at] for column in table.columns)
            if at:
                stacked.add_row()
            stacked.add_row(table.columns[0].header, name, style=row.style or "bold")
            for column, cell in zip(table.columns[1:], cells, strict=True):
                if str(cell).strip():
                    stacked.add_row(column.header, cell, style=row.style)
        return stacked


def _empty(table: Table) -> Table:
    return Table(
        box=None, pad_edge=False, header_style="bold", title=table.title, title_justify="left"
    )
