"""What came out of a run or a study, as a tracker keeps it: figures, a table, the verdict."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stillhouse.records.metric import Metric
from stillhouse.records.own_code import called
from stillhouse.records.run import REPORT, ModelRecord, Scores
from stillhouse.records.study import Arm, Comparison, StudyTable
from stillhouse.tracking.points import plain
from stillhouse.verdict.spread import spread

Cell = str | float | int | None


@dataclass(frozen=True)
class Summary:
    """What is written once, in the end.

    Args:
        title: in a line.
        verdict: in words.
        columns, rows: the final table; None is an empty cell.
        figures: its main numbers by name, as they are shown (accuracy in %).
        report: the file of the report.
    """

    title: str
    verdict: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    report: Path
    figures: dict[str, float] = field(default_factory=dict)

    @property
    def markdown(self) -> str:
        """The table as text."""
        lines = [self.columns, ["---"] * len(self.columns), *self.rows]
        return "\n".join(f"| {' | '.join(map(_shown, line))} |" for line in lines)


def _shown(cell: Cell) -> str:
    if isinstance(cell, float):
        return f"{cell:.2f}"
    return "" if cell is None else str(cell).replace("|", "\\|")


def run_summary(scores: Scores, out: Path) -> Summary:
    """Of a run: a line per network, mean and 95 % interval over seeds."""
    metric, verdict = scores.task.metric, scores.verdict
    columns = ["network", "model", *_measured(metric), "95 % ±", "parameters", "MB", "seeds"]
    figures: dict[str, float] = {}
    for model in scores.models:
        figures |= _named(f"test/{plain(model.role)}", _mean(_tests(model), metric)[0])
    if verdict is not None:
        ends = {"gain": verdict.gain, "gain-low": verdict.low, "gain-high": verdict.high}
        for name, value in ends.items():
            figures |= _named(name, None if value is None else metric.scale * value)
    return Summary(
        scores.title,
        "" if verdict is None else verdict.sentence,
        columns,
        [_network(model, metric) for model in scores.models],
        out / REPORT,
        figures,
    )


def _network(model: ModelRecord, metric: Metric) -> list[Cell]:
    validation = _mean([run.validation.last for run in model.runs], metric)[0]
    size = [model.parameters, model.bytes / 1e6, len(model.runs)]
    return [model.role, called(model.model), validation, *_mean(_tests(model), metric), *size]


def study_summary(table: StudyTable, out: Path) -> Summary:
    """Of a study: a line per arm, its gain over its control with the 95 % interval."""
    metric = table.task.metric
    columns = ["arm", *_measured(metric), "95 % ±", "gain", "low", "high", "word"]
    words = [f"{arm.name}: {arm.gain.word}" for arm in table.arms if arm.gain]
    figures: dict[str, float] = {}
    for arm in table.arms:
        figures |= _named(f"test/{plain(arm.name)}", _mean(_arm_tests(arm), metric)[0])
    rows = [_arm(arm, metric) for arm in table.arms]
    return Summary(table.title, "; ".join(words), columns, rows, out / REPORT, figures)


def _arm(arm: Arm, metric: Metric) -> list[Cell]:
    if arm.state != "finished":
        return [arm.name, None, None, None, None, None, None, arm.state]
    validation = _mean([run.validation.last for run in arm.runs], metric)[0]
    return [arm.name, validation, *_mean(_arm_tests(arm), metric), *_gain(arm.gain, metric)]


def _gain(gain: Comparison | None, metric: Metric) -> list[Cell]:
    if gain is None:
        return [None, None, None, "no control"]
    ends = [None if each is None else metric.scale * each for each in (gain.low, gain.high)]
    return [metric.scale * gain.mean, *ends, gain.word]


def _measured(metric: Metric) -> list[str]:
    named = f"{metric.name} {metric.unit}".strip()
    return [f"validation {named}", f"test {named}"]


def _tests(model: ModelRecord) -> list[float | None]:
    return [run.test.last for run in model.runs]


def _arm_tests(arm: Arm) -> list[float | None]:
    return [run.test.last for run in arm.runs]


def _mean(values: Iterable[float | None], metric: Metric) -> tuple[float | None, float | None]:
    """Mean over seeds, and the half-width of its interval, as they are shown."""
    found = spread(values)
    if found is None:
        return None, None
    return metric.scale * found.mean, None if found.half is None else metric.scale * found.half


def _named(name: str, value: float | None) -> dict[str, float]:
    return {} if value is None else {name: value}
