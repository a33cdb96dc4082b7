"""What a finished run came to: verdict, numbers, networks and files, by name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from stillhouse.deploy.detector import DetectorPredictor
from stillhouse.deploy.predictor import Predictor
from stillhouse.deploy.predictor import load as load_predictor
from stillhouse.errors import RunError
from stillhouse.records.metric import Metric
from stillhouse.records.run import REPORT, Scores
from stillhouse.verdict.spread import spread

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from stillhouse.report.record import RunRecord

STUDENT, TEACHER, CONTROL = "student", "teacher", "control"


@dataclass(frozen=True)
class Gain:
    """How much better the student is than its control; positive is better, whatever the metric.

    Args:
        value: the mean over seeds, unscaled: 0.03 of accuracy are 3 points.
        low, high: of its interval for other seeds; None with one seed.
        confidence: of the interval.
        by_seed: the gain of each seed.
        word: helps, hurts, no difference shown, equivalent within the margin, or too few seeds to
            tell.
        metric: what was measured.
    """

    value: float
    low: float | None
    high: float | None
    confidence: float
    by_seed: Mapping[int, float]
    word: str
    metric: Metric = field(repr=False)

    @property
    def seeds(self) -> int:
        """How many pairs of student and control."""
        return len(self.by_seed)

    def __str__(self) -> str:
        said, seeds = self.metric.over(self.value, minus="-"), f"{self.seeds} paired seeds"
        if self.seeds == 1:
            return f"{said} (1 seed)"
        ends = self.metric.span(self.low, self.high, minus="-")
        return f"{said} ({100 * self.confidence:.0f} % interval {ends}, {seeds})"


@dataclass(frozen=True, eq=False, repr=False)
class Outcome:
    """A finished run.

    Args:
        directory: all its files.
        scores: the content of scores.json: everything that was measured, as data.
        network: gives the student, control or teacher of the first seed, by its role.
    """

    directory: Path
    scores: Mapping[str, Any]
    network: Callable[[str], nn.Module | None]

    @property
    def verdict(self) -> str:
        """The verdict line."""
        return str(self.scores["verdict"]["sentence"])

    @cached_property
    def gain(self) -> Gain | None:
        """The gain over the control: value, interval, seeds; None without a control."""
        found = self._scores.verdict
        if found is None or found.gain is None:
            return None
        by_role = {model.role: model.runs for model in reversed(self._scores.models)}
        theirs = {run.seed for run in by_role.get(CONTROL, ())}
        seeds = [run.seed for run in by_role[STUDENT] if run.seed in theirs]
        return Gain(
            found.gain,
            found.low,
            found.high,
            found.confidence,
            dict(zip(seeds, found.gains, strict=True)),
            found.word,
            self.metric,
        )

    @property
    def metric(self) -> Metric:
        """What it is measured by."""
        return self._scores.task.metric

    @property
    def warnings(self) -> tuple[str, ...]:
        """What may make the numbers worthless, and what of the data was left out.

        The same stands in scores.json and in the report; a watcher hears it while the run goes on.
        """
        return tuple(self.scores.get("warnings", ()))

    @cached_property
    def table(self) -> "DataFrame":
        """A row per network (teacher, control, student, further inferences), mean over seeds.

        Numbers are unscaled: an accuracy is from 0 to 1. Columns: model, seeds, test, test_half
        (half of the 95 % interval), test_best, validation, validation_best, parameters, bytes,
        seconds.
        """
        from stillhouse.report.data_frames import table_frame

        return table_frame(self.record)

    @cached_property
    def runs(self) -> "DataFrame":
        """A row per training: role, seed, epochs, scores, seconds."""
        from stillhouse.report.data_frames import runs_frame

        return runs_frame(self.record)

    @cached_property
    def epochs(self) -> "DataFrame":
        """A row per epoch of each training: the metric on validation, and the terms of the loss."""
        from stillhouse.report.data_frames import epochs_frame

        return epochs_frame(self.record)

    @cached_property
    def record(self) -> "RunRecord":
        """All that the run has written, as the report reads it.

        Raises:
            RunError: the files were deleted or changed since.
        """
        from stillhouse.report import read_run

        return read_run(self.directory)

    def plot(self) -> "Figure":
        """Curves on validation, and the gain of each seed, as a figure of matplotlib.

        A notebook shows it; ``outcome.plot().savefig("run.pdf")`` writes it.

        Raises:
            MissingExtra: matplotlib is not installed.
        """
        from stillhouse.report.plot import plot_run

        return plot_run(self.record)

    @cached_property
    def student(self) -> nn.Module:
        """The trained student of the first seed, in eval mode, from normalised images.

        It reads images in its own form, where the recipe gives it one. `predictor` takes files and
        pictures.
        """
        found = self.network(STUDENT)
        if found is None:
            raise RunError(f"the run in {self.directory} has no student")
        return found

    @cached_property
    def teacher(self) -> nn.Module | None:
        """The teacher (of the first seed, where each student has its own); None without one.

        Raises:
            RunError: it was deleted since.
        """
        return self.network(TEACHER)

    @cached_property
    def control(self) -> nn.Module | None:
        """The student of the first seed as it is without a teacher; None without a control.

        Raises:
            RunError: it was deleted since.
        """
        return self.network(CONTROL)

    @cached_property
    def predictor(self) -> Predictor | DetectorPredictor:
        """The student with its preprocessing and its classes: ``.predict(["image.png"])``."""
        return load_predictor(self.directory)

    @property
    def report(self) -> Path:
        """The report."""
        return self.directory / REPORT

    @cached_property
    def _scores(self) -> Scores:
        return Scores.checked({k: each for k, each in self.scores.items() if k != "schema"})

    def __repr__(self) -> str:
        lines = [f"Outcome of {self._scores.title}", self._networks(), self.verdict]
        if self.warnings:
            count = len(self.warnings)
            lines.append(f"{count} warning{'s' if count > 1 else ''}: see outcome.warnings")
        return "\n  ".join([*lines, f"report: {self.report}"])

    def _networks(self) -> str:
        """The test metric of each network in a line."""
        said = []
        for model in self._scores.models:
            found = spread(run.test.last for run in model.runs)
            half = found and found.half
            mean = self.metric.shown(found.mean if found else None)
            said.append(f"{model.role} {mean}" + (f" ± {self.metric.shown(half)}" if half else ""))
        unit = f" in {self.metric.unit}" if self.metric.unit else ""
        return f"test {self.metric.name}{unit}: {', '.join(said)}"

    def _repr_html_(self) -> str:
        from stillhouse.report.notebook import run_html

        return run_html(self.record, str(self.report), self.warnings)
