"""How a run shows how far it is: a bar in a terminal, an output in a notebook, lines elsewhere."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from stillhouse.runs.progress.lines import LineProgress, PartLines
from stillhouse.runs.progress.listening import EpochEnd, Listening, OnEpoch, check_on_epoch
from stillhouse.runs.progress.watchers import Progress, SilentProgress

__all__ = [
    "EpochEnd",
    "Listening",
    "OnEpoch",
    "Progress",
    "check_on_epoch",
    "progress_shown",
]


@contextmanager
def progress_shown(*, quiet: bool = False, log: bool = False) -> Iterator[Progress]:
    """What shows progress here, until the block ends.

    Args:
        quiet: show nothing.
        log: where there is neither terminal nor notebook, whether notes, and lines while a training
            goes on, are wanted. Else there is a line for each training that ends.
    """
    shown = _chosen(quiet=quiet, log=log)
    try:
        yield shown
    finally:
        shown.stop()


def _chosen(*, quiet: bool, log: bool) -> Progress:
    if quiet or sys.stdout is None:
        return SilentProgress()
    display = notebook_display()
    if display is not None:
        from stillhouse.runs.progress.notebook import NotebookProgress

        return NotebookProgress(display)
    if sys.stdout.isatty():
        from rich.console import Console

        from stillhouse.runs.progress.bars import Bars

        console = Console(highlight=False)
        if not console.is_dumb_terminal:  # where a bar could not be drawn anew
            return Bars(console)
    return LineProgress() if log else PartLines()


def notebook_display() -> Callable[..., Any] | None:
    """IPython's ``display`` in a notebook, and nowhere else."""
    ipython = sys.modules.get("IPython")  # a notebook has it loaded
    shell = ipython.get_ipython() if ipython is not None else None
    if getattr(shell, "kernel", None) is None:  # IPython in a terminal has none
        return None
    found: Callable[..., Any] = ipython.display.display  # type: ignore[union-attr]
    return found
