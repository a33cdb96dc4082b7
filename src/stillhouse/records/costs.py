"""costs.json: what it costs to use networks."""

from typing import Any

from stillhouse.records.schema import Record, RecordFile

COSTS = "costs.json"


class NetworkCosts(Record):
    """What one network costs.

    Args:
        macs: multiplications (each with its addition) of one image.
        file_bytes: of its state dict as a file.
        milliseconds: of one answer, by batch size.
        test: the metric on the test set, of the last epoch; None where it was not measured.
    """

    name: str
    parameters: int
    macs: int
    file_bytes: int
    milliseconds: dict[str, float | None]
    model: str = ""
    test: float | None = None


class LayerChange(Record):
    """A layer that became something else: weights before and after, and how."""

    path: str
    before: int
    after: int
    how: str


class LayerKept(Record):
    """A layer that stayed as it was, and why."""

    path: str
    why: str


class Costs(RecordFile):
    """costs.json: what it costs to use a student, beside its teacher.

    Args:
        derive: how it was made out of its teacher, the section of the recipe; empty if it was not.
        model: what it is called.
        conditions: what a time depends on beside the network.
        changes, kept: what became of the teacher's layers.
    """

    derive: dict[str, Any]
    model: str
    conditions: dict[str, Any]
    networks: tuple[NetworkCosts, ...]
    seed: int | None = None
    changes: tuple[LayerChange, ...] = ()
    kept: tuple[LayerKept, ...] = ()
