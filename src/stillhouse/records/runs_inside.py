"""Runs that lie within a directory which is none itself: what a message can name."""

from pathlib import Path

RESOLVED = "resolved.yaml"
"""The recipe of a run, which each run has."""
SIGNS = (RESOLVED, "scores.json")
MOST = 4


def runs_inside(directory: Path) -> str:
    """Which runs lie in a directory, or are arms of the study in it; empty if there is none.

    >>> runs_inside(Path("nowhere"))
    ''
    """
    found = {
        str(path.parent): None
        for above in ("*", "arms/*")
        for sign in SIGNS
        for path in sorted(directory.glob(f"{above}/{sign}"))
    }
    names = list(found)
    more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
    return f"runs in it are {', '.join(names[:MOST])}{more}" if names else ""
