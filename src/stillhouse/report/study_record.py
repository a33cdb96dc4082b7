"""A study's directory as the report sees it: study.json, ranked, and what its arms came to."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from stillhouse.errors import RunError
from stillhouse.records.metric import Metric
from stillhouse.records.run import SeedScores
from stillhouse.records.study import TABLE, Arm, StudyTable
from stillhouse.report.wording import flat
from stillhouse.verdict.spread import Spread, spread

WRITTEN = "study.yaml"


class StudyRecord(StudyTable):
    """Everything the page of a study shows.

    Args:
        name: of its directory.
        written: the text of study.yaml.
    """

    name: str
    written: str

    @property
    def metric(self) -> Metric:
        """What its arms are measured by."""
        return self.task.metric

    @property
    def controlled(self) -> bool:
        """Whether any arm has a control, or could have one still."""
        return any(arm.controls for arm in self.arms) or not self.ranked

    @property
    def transferred(self) -> bool:
        """Whether any arm has a transfer set."""
        return any(arm.transfer is not None for arm in self.arms)

    @property
    def ranked(self) -> tuple[Arm, ...]:
        """The arms that have numbers, best first."""
        return tuple(arm for arm, _ in self.scored)

    @property
    def scored(self) -> tuple[tuple[Arm, Spread], ...]:
        """The arms that have numbers with the test metric of their seeds, best first."""
        known = [(arm, found) for arm in self.arms if (found := tested(arm.runs)) is not None]
        return tuple(sorted(known, key=lambda pair: -self.merit(pair[1])))

    def merit(self, found: Spread | None) -> float:
        """A number by which what is better stands higher; nothing stands at the bottom."""
        return self.metric.gain(found.mean, 0.0) if found else float("-inf")


def tested(runs: Iterable[SeedScores]) -> Spread | None:
    """The test metric of the last epoch over some trainings."""
    return spread(run.test.last for run in runs)


def diagnosed(runs: Iterable[SeedScores]) -> Mapping[str, Spread]:
    """Diagnostics that are one number, over the seeds."""
    by_name: dict[str, list[float]] = {}
    for run in runs:
        for name, value in run.diagnostics.items():
            if isinstance(value, float):
                by_name.setdefault(name, []).append(value)
    found = {name: spread(values) for name, values in by_name.items()}
    return {name: each for name, each in found.items() if each is not None}


def settings_of(arm: Arm) -> Mapping[str, str]:
    """What an arm sets of its own, as text by dotted names."""
    return dict(flat(arm.settings))


def read_study(directory: Path) -> StudyRecord:
    """Read what a study has written so far.

    Raises:
        RunError: ``directory`` holds no study, or its table is damaged.
    """
    if not (directory / TABLE).is_file():
        raise RunError(
            f"'{directory}' has no {TABLE}: no study was begun there; give the directory that "
            "'stillhouse run STUDY -o DIR' wrote"
        )
    table, written = StudyTable.read(directory / TABLE), directory / WRITTEN
    return StudyRecord(
        **dict(table),
        name=directory.resolve().name,
        written=written.read_text("utf-8", errors="replace") if written.is_file() else "",
    )
