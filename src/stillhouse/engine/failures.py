"""What to say where a network or a loss fails in train mode, which only a real batch can tell."""

from collections.abc import Mapping

from torch import Tensor

from stillhouse.engine.composite import running_in
from stillhouse.engine.nodes import Node
from stillhouse.engine.signals import BATCH, owner, shape_text
from stillhouse.engine.terms import Term
from stillhouse.errors import StillhouseError, WiringError
from stillhouse.faults import fault_of, first_line

ONE_ROW = "Expected more than 1 value per channel when training"
"""What batch norm says of one row; torch has no class of its own for it."""


def training_problem(error: Exception, signals: Mapping[str, Tensor]) -> str | None:
    """The problem behind an error of a forward pass in train mode; None: memory, not the stage."""
    where = _who(running_in(error))
    if isinstance(error, WiringError):
        return f"{error.where}: " + "; ".join(error.problems)
    if isinstance(error, StillhouseError):
        return str(error)
    if fault_of(error) is not None:
        return None
    return one_row_problem(error, signals) or (
        f"{where} fails in train mode on {_shapes(signals)}: {first_line(error)}"
    )


def one_row_problem(error: Exception, signals: Mapping[str, Tensor]) -> str | None:
    """What to say of batch norm that saw one value of each channel; None: it is something else."""
    if ONE_ROW not in str(error):
        return None
    rows = min(
        (len(v) for name, v in signals.items() if owner(name) == BATCH and v.ndim), default=1
    )
    counted = "1 row" if rows == 1 else f"{rows} rows"
    return (
        f"{_who(running_in(error))} has a batch norm that sees one value of each channel in a "
        f"batch of {counted}, which has no variance ({first_line(error)}); use batches of 2 rows "
        "or more on each process and leave out a last batch of 1 row (DataLoader(..., "
        "drop_last=True), or another batch size), or give that batch norm in eval mode"
    )


def _who(running: Node | Term | None) -> str:
    if running is None:
        return "a network of this stage"
    return f"node '{running.title}'" if isinstance(running, Node) else f"term '{running.name}'"


def _shapes(signals: Mapping[str, Tensor]) -> str:
    return ", ".join(f"{n} {shape_text(v)}" for n, v in signals.items() if owner(n) == BATCH)
