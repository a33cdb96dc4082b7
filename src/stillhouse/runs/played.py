"""What became of each model of a run."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from torch import nn

from stillhouse.errors import RunError
from stillhouse.records.files import Reading
from stillhouse.runs.stage_run import StageRun


@dataclass(frozen=True)
class Played:
    """One model of the run: its stage and its accuracies (label of the inference -> share).

    Args:
        teacher: the trained teacher of a student, if it had one.
        diagnostics: on validation, by the weights of the last epoch; of students and controls beside a
            teacher.
        notes: what was settled while its stage was composed, such as pairs of layers.
        heads_validation: validation accuracies of inferences beside the first, where known.
    """

    role: str
    seed: int
    run: StageRun | None
    test: dict[str, dict[str, float]]
    validation: dict[str, float | None]
    teacher: nn.Module | None = None
    diagnostics: dict[str, Reading] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    heads_validation: dict[str, dict[str, float]] = field(default_factory=dict)


def student_of(played: Iterable[Played]) -> Played:
    """The first student of a run, whose weights are the run's product."""
    for one in played:
        if one.role == "student":
            return one
    raise RunError("the run has no student")
