"""What a study came to: its arms side by side, each with the outcome of its run."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from stillhouse.errors import RunError, nearest
from stillhouse.records.metric import Metric
from stillhouse.records.run import REPORT
from stillhouse.records.study import Arm
from stillhouse.report.study_finding import finding
from stillhouse.report.study_record import StudyRecord, read_study
from stillhouse.report.wording import interval
from stillhouse.runs.opening import open_run
from stillhouse.runs.outcome import Gain, Outcome

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

FINISHED = "finished"


class ArmOutcomes(Mapping[str, Outcome]):
    """The outcomes of the arms that are finished, by name; each is read when it is asked for.

    Args:
        record: of the study.
        opens: gives the outcome of an arm.
    """

    def __init__(self, record: StudyRecord, opens: Callable[[str], Outcome]) -> None:
        self._names = [arm.name for arm in record.arms if arm.state == FINISHED]
        self._known: dict[str, Outcome] = {}
        self._opens = opens

    def __getitem__(self, name: str) -> Outcome:
        if name not in self._names:
            raise RunError(f"no arm '{name}' is finished; {nearest(str(name), self._names)}")
        if name not in self._known:
            self._known[name] = self._opens(name)
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __repr__(self) -> str:
        return f"arms: {', '.join(self._names) or 'none is finished'}"


@dataclass(frozen=True, eq=False, repr=False)
class StudyOutcome:
    """A study, with its arms side by side.

    Args:
        directory: all its files.
        scores: the content of study.json, as data.
        opens: gives the outcome of an arm by its name.
    """

    directory: Path
    scores: Mapping[str, Any]
    opens: Callable[[str], Outcome]

    @property
    def verdict(self) -> str:
        """What was found, in a few sentences, with words corrected for the number of arms."""
        return " ".join(finding(self.record))

    @cached_property
    def gain(self) -> Mapping[str, Gain]:
        """The gain of each arm over its control, by name; its word is corrected for all arms."""
        found = ((arm.name, _gain(arm, self.metric)) for arm in self.record.arms)
        return {name: gain for name, gain in found if gain is not None}

    @property
    def metric(self) -> Metric:
        """What its arms are measured by."""
        return self.record.metric

    @cached_property
    def record(self) -> StudyRecord:
        """study.json as the report reads it.

        Raises:
            RunError: the file was deleted or changed since.
        """
        return read_study(self.directory)

    @cached_property
    def table(self) -> "DataFrame":
        """A row per arm, best first. Numbers are unscaled: an accuracy is from 0 to 1.

        Columns: state, method, seeds, test, test_half (half of the 95 % interval), validation,
        gain over the control with low, high, p (corrected) and word, parameters, seconds.
        """
        from stillhouse.report.data_frames import arms_frame

        return arms_frame(self.record)

    @cached_property
    def runs(self) -> "DataFrame":
        """A row per training of each arm: arm, role, seed, scores, seconds."""
        from stillhouse.report.data_frames import study_runs_frame

        return study_runs_frame(self.record)

    @cached_property
    def arms(self) -> ArmOutcomes:
        """The `Outcome` of each finished arm by its name: ``outcome.arms["kd"].plot()``."""
        return ArmOutcomes(self.record, self.opens)

    @property
    def best(self) -> str:
        """The arm that stands first in the table.

        It was chosen on the test set, so its own number is too good; `gain` and `verdict` say what
        is beyond chance.
        """
        if not self.record.ranked:
            raise RunError(f"no arm of the study in {self.directory} has numbers yet")
        return self.record.ranked[0].name

    @property
    def student(self) -> nn.Module:
        """The student of the best arm; see `best`. Of another one: ``arms[NAME].student``."""
        return self.arms[self.best].student

    @property
    def teacher(self) -> nn.Module | None:
        """The teacher of the best arm."""
        return self.arms[self.best].teacher

    @property
    def control(self) -> nn.Module | None:
        """The control of the best arm."""
        return self.arms[self.best].control

    @property
    def report(self) -> Path:
        """The report."""
        return self.directory / REPORT

    def plot(self) -> "Figure":
        """The test metric of each arm with its seeds and interval, as a figure of matplotlib.

        Raises:
            MissingExtra: matplotlib is not installed.
        """
        from stillhouse.report.plot import plot_study

        return plot_study(self.record)

    def __repr__(self) -> str:
        record, metric = self.record, self.metric
        first = ", ".join(
            f"{arm.name} {interval(found, metric)}" for arm, found in record.scored[:3]
        )
        more = len(record.scored) - 3
        unit = f" in {metric.unit}" if metric.unit else ""
        ranked = f"test {metric.name}{unit}: {first}" + (f" and {more} more" if more > 0 else "")
        lines = [f"Study: {record.title}", ranked]
        lines += [finding(record)[0], f"report: {self.report}"]
        return "\n  ".join(lines)

    def _repr_html_(self) -> str:
        from stillhouse.report.notebook import study_html

        return study_html(self.record, str(self.report))


def _gain(arm: Arm, metric: Metric) -> Gain | None:
    found = arm.gain
    if found is None:
        return None
    theirs = {run.seed: run.test.last for run in arm.controls}
    pairs = {run.seed: (run.test.last, theirs.get(run.seed)) for run in arm.runs}
    by_seed = {
        seed: metric.gain(mine, its)
        for seed, (mine, its) in pairs.items()
        if mine is not None and its is not None
    }
    return Gain(found.mean, found.low, found.high, 0.95, by_seed, found.word, metric)


def open_study(
    directory: Path, *, shared: Path | None = None, allow_imports: bool = False
) -> StudyOutcome:
    """What a study came to, from its directory; arms that wait or diverged are rows without runs.

    Args:
        directory: of the study.
        shared: where its teachers and controls are kept; beside the directory by default.
        allow_imports: whether networks of the form 'python:package:function' may be imported.

    Raises:
        RunError: it has no table yet, or that is damaged.
    """
    record = read_study(directory)
    place = {arm.name: directory / arm.directory for arm in record.arms}
    kept = shared or directory.resolve().parent / "shared"

    def opened(name: str) -> Outcome:
        return open_run(place[name], shared=kept, allow_imports=allow_imports)

    table = {key: value for key, value in record.plain().items() if key not in ("name", "written")}
    return StudyOutcome(directory, table, opened)
