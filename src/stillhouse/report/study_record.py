"""study.json as frozen data; ``None`` is what the study has not said (yet)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stillhouse.diagnostics.spread import Spread, spread
from stillhouse.errors import RunError
from stillhouse.report.read import read_json
from stillhouse.report.record import Data, TrainedRun
from stillhouse.report.scores import read_data, read_model
from stillhouse.report.values import flat, number, numbers, rows, table, text, whole

TABLE, WRITTEN = "study.json", "study.yaml"


@dataclass(frozen=True)
class Gain:
    """A mean paired gain (fractions), its interval alone, its p alone and corrected."""

    mean: float
    low: float | None = None
    high: float | None = None
    p: float | None = None
    p_holm: float | None = None
    word: str = ""
    seeds: int | None = None


@dataclass(frozen=True)
class Arm:
    """One arm: what it says of its own, its trainings, its control's and its teacher's.

    ``stage`` is the training that diverged, where it was not the student's; ``made`` the seconds
    that its transfer set took and ``made_by`` its method, where it has one.
    """

    name: str
    state: str = "waiting"
    message: str = ""
    stage: str = ""
    directory: str = ""
    method: str = ""
    teacher: str = ""
    student: str = ""
    epochs: int | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    at: object = None
    runs: tuple[TrainedRun, ...] = ()
    controls: tuple[TrainedRun, ...] = ()
    teachers: tuple[TrainedRun, ...] = ()
    diagnostics: Mapping[str, Spread] = field(default_factory=dict)
    control_diagnostics: Mapping[str, Spread] = field(default_factory=dict)
    gain: Gain | None = None
    over_against: Gain | None = None
    made: float | None = None
    made_by: str = ""

    @property
    def test(self) -> Spread | None:
        """Test accuracy of the last epoch over seeds."""
        return tested(self.runs)


def tested(runs: tuple[TrainedRun, ...]) -> Spread | None:
    """Test accuracy of the last epoch over some trainings."""
    return spread(run.test.last for run in runs)


@dataclass(frozen=True)
class StudyRecord:
    """Everything the page of a study shows."""

    name: str
    title: str = ""
    created: str = ""
    seconds: float | None = None
    finished: bool = False
    data: Data = field(default_factory=Data)
    axis: str = ""
    against: str = ""
    rivals: tuple[str, ...] = ()
    swept: tuple[str, ...] = ()
    arms: tuple[Arm, ...] = ()
    written: str = ""

    @property
    def controlled(self) -> bool:
        """Whether any arm has a control, or could have one still."""
        return any(arm.controls for arm in self.arms) or not self.ranked

    @property
    def transferred(self) -> bool:
        """Whether any arm has a transfer set."""
        return any(arm.made is not None for arm in self.arms)

    @property
    def ranked(self) -> tuple[Arm, ...]:
        """The arms that have numbers, best first."""
        known = [(arm.test.mean, arm) for arm in self.arms if arm.test is not None]
        return tuple(arm for _, arm in sorted(known, key=lambda pair: -pair[0]))


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
    found = read_json(directory / TABLE)
    written = directory / WRITTEN
    return StudyRecord(
        name=directory.resolve().name,
        title=text(found.get("title")),
        created=text(found.get("created")),
        seconds=number(found.get("seconds")),
        finished=found.get("finished") is True,
        data=read_data(found.get("data")),
        axis=text(found.get("axis")),
        against=text(found.get("against")),
        rivals=tuple(text(name) for name in rows(found.get("rivals"))),
        swept=tuple(text(key) for key in rows(found.get("swept"))),
        arms=tuple(_arm(each) for each in rows(found.get("arms"))),
        written=written.read_text(encoding="utf-8", errors="replace") if written.is_file() else "",
    )


def _arm(value: object) -> Arm:
    found = table(value)
    return Arm(
        name=text(found.get("name")),
        state=text(found.get("state")),
        message=text(found.get("message")),
        stage=text(found.get("stage")),
        directory=text(found.get("directory")),
        method=text(found.get("method")),
        teacher=text(found.get("teacher_model")),
        student=text(found.get("student_model")),
        epochs=whole(found.get("epochs")),
        settings=dict(flat(found.get("settings"))),
        at=found.get("at"),
        runs=read_model({"runs": found.get("runs")}).runs,
        controls=read_model({"runs": found.get("controls")}).runs,
        teachers=read_model({"runs": found.get("teacher")}).runs,
        diagnostics=_diagnostics(found.get("runs")),
        control_diagnostics=_diagnostics(found.get("controls")),
        gain=_gain(found.get("gain")),
        over_against=_gain(found.get("over_against")),
        made=number(table(found.get("transfer")).get("seconds")),
        made_by=text(table(found.get("transfer")).get("method")),
    )


def _gain(value: object) -> Gain | None:
    found = table(value)
    mean = number(found.get("mean"))
    if mean is None:
        return None
    return Gain(
        mean=mean,
        low=number(found.get("low")),
        high=number(found.get("high")),
        p=number(found.get("p")),
        p_holm=number(found.get("p_holm")),
        word=text(found.get("word")),
        seeds=whole(found.get("seeds")),
    )


def _diagnostics(runs: object) -> Mapping[str, Spread]:
    """Diagnostics that are one number, over the seeds; of several epochs the last."""
    by_name: dict[str, list[float]] = {}
    for run in rows(runs):
        told = table(table(run).get("diagnostics"))
        last = {key: table(each).get("last", each) for key, each in told.items()}
        for name, value in numbers(last).items():
            by_name.setdefault(name, []).append(value)
    found = {name: spread(values) for name, values in by_name.items()}
    return {name: each for name, each in found.items() if each is not None}
