"""Diagnostics: numbers that are read off a stage after each epoch, on validation rows.

They tell how a training goes and decide nothing: no term, no step, no choice depends on them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from stillhouse.engine.signals import Signals, shape_text
from stillhouse.errors import WiringError
from stillhouse.records.files import Reading, finite

ROWS = 2048
"""Rows that diagnostics see, the first ones of the table: representations are compared well on some
times more samples than they have dimensions, and all is held in memory."""


@dataclass(frozen=True)
class Diagnostic:
    """Something to look at after each epoch.

    Args:
        name: how metrics call it.
        of: a function of the signals in ``reads``, in their order, each of up to `ROWS` rows in the
            order of the table, on the CPU; numbers with a fraction as float32. It runs without
            gradients, all modules in eval mode. It gives a number or a list of numbers.
        reads: its signals; with none, ``of`` takes nothing (a function of a module's weights).

    >>> height = Diagnostic("height", lambda z: z.max(), reads=("student.logits",))
    >>> read_off([height], {"student.logits": torch.tensor([[1.0, 2.5]])})
    {'height': 2.5}
    """

    name: str
    of: Callable[..., float | Tensor | Sequence[float]]
    reads: tuple[str, ...] = ()


class RowGatherer:
    """The first rows of some signals, kept batch by batch while somebody goes through a table.

    Of several processes each gathers from its own share of the rows, which is a fair sample of
    them; what is written is what the main process saw.

    >>> kept = RowGatherer(["x"], rows=3)
    >>> for batch in torch.arange(6.0).split(2):
    ...     kept.add({"x": batch})
    >>> kept.signals()["x"].tolist(), kept.full
    ([0.0, 1.0, 2.0], True)
    """

    def __init__(self, reads: Iterable[str], *, rows: int = ROWS) -> None:
        self._pieces: dict[str, list[Tensor]] = {read: [] for read in reads}
        self._left = rows

    @property
    def full(self) -> bool:
        """Whether further rows would be left out."""
        return self._left == 0

    def add(self, known: Mapping[str, Tensor]) -> None:
        """Keep what there is room for."""
        count = 0
        for read, pieces in self._pieces.items():
            rows = known[read][: self._left].detach()
            pieces.append((rows.float() if rows.is_floating_point() else rows).cpu())
            count = len(rows)
        self._left -= count

    def signals(self) -> Signals:
        """All rows so far, as new tensors."""
        return {read: torch.cat(pieces) for read, pieces in self._pieces.items()}


def reads_of(diagnostics: Iterable[Diagnostic]) -> tuple[str, ...]:
    """The signals that these diagnostics read, each once."""
    return tuple(dict.fromkeys(read for diagnostic in diagnostics for read in diagnostic.reads))


def read_off(
    diagnostics: Iterable[Diagnostic], signals: Mapping[str, Tensor]
) -> dict[str, Reading]:
    """What each diagnostic shows on these signals.

    Raises:
        WiringError: a diagnostic fails, or gives neither a number nor a list of numbers.
    """
    return {diagnostic.name: _reading(diagnostic, signals) for diagnostic in diagnostics}


def _reading(diagnostic: Diagnostic, signals: Mapping[str, Tensor]) -> Reading:
    given = [signals[read] for read in diagnostic.reads]
    try:
        shown = diagnostic.of(*given)
    except Exception as error:
        shapes = ", ".join(
            f"{r} {shape_text(v)}" for r, v in zip(diagnostic.reads, given, strict=True)
        )
        raise WiringError(
            f"diagnostic '{diagnostic.name}'", [f"it fails on {shapes or 'no signals'}: {error}"]
        ) from error
    value = torch.as_tensor(shown, dtype=torch.float64).detach() if _numbers(shown) else None
    if value is None or value.ndim > 1:
        what = shape_text(shown) if isinstance(shown, Tensor) else type(shown).__name__
        said = f"it gives a {what}; a diagnostic gives a number or a list of numbers"
        raise WiringError(f"diagnostic '{diagnostic.name}'", [said])
    reading: Reading = finite(value.tolist())
    return reading


def _numbers(shown: object) -> bool:
    if isinstance(shown, Sequence) and not isinstance(shown, str):
        return all(isinstance(one, int | float) for one in shown)
    return isinstance(shown, int | float | Tensor)
