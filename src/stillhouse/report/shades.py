"""Cells of a table whose ground is the stronger the larger their number: what a heat map is.

A table is read aloud, printed and copied; its colours are rules of the page, in light and dark.
"""

SHADES = 10
"""Of `page.css`: from heat-0, which is none, to heat-10."""


def shade(share: float) -> int:
    """Return the shade of a share between 0 and 1; what is beyond is taken as the end.

    >>> shade(0.0), shade(0.52), shade(1.0), shade(-0.3)
    (0, 5, 10, 0)
    """
    return round(SHADES * min(max(share, 0.0), 1.0))
