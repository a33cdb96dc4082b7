"""The rows of a study's table, best first, as text ready to be shown."""

from collections import Counter
from dataclasses import dataclass, replace
from urllib.parse import quote

from stillhouse.diagnostics.spread import Spread, spread
from stillhouse.report.record import Accuracy, TrainedRun
from stillhouse.report.study_record import Arm, Gain, StudyRecord, tested
from stillhouse.report.wording import NOTHING, duration, head_note, interval, points

ONE_SEED = "one seed"

RARE = 8
"""A diagnostic that fewer than one arm in so many has is no column of the table."""


@dataclass(frozen=True)
class Said:
    """A gain in words: points, interval alone, word after correction, corrected p."""

    points: str = NOTHING
    range: str = ""
    word: str = ""
    p: str = ""


@dataclass(frozen=True)
class StudyRow:
    """One line; ``kind`` is arm, head, control or failed. Accuracies in percent over seeds."""

    kind: str
    name: str
    note: str = ""
    link: str = ""
    test: str = ""
    gain: Said = Said("")
    against: Said = Said("")
    diagnostics: tuple[str, ...] = ()
    seconds: str = ""
    made: str = ""


@dataclass(frozen=True)
class Control:
    """A control that some arms share."""

    about: str
    runs: tuple[TrainedRun, ...]
    arms: tuple[str, ...]


def controls(record: StudyRecord) -> tuple[Control, ...]:
    """The controls of a study, each once: the same model with the same accuracy of each seed."""
    found: dict[object, Control] = {}
    for arm in record.arms:
        if arm.controls:
            key = (arm.student, tuple((run.seed, run.test) for run in arm.controls))
            known = found.get(key) or Control(_control(arm), arm.controls, ())
            found[key] = replace(known, arms=(*known.arms, arm.name))
    return tuple(found.values())


def _control(arm: Arm) -> str:
    epochs = "" if arm.epochs is None else f", {arm.epochs} epoch{'s' if arm.epochs > 1 else ''}"
    return f"{arm.student}{epochs}"


def diagnostic_names(record: StudyRecord) -> tuple[str, ...]:
    """The diagnostics that at least one arm in eight has: of a long table the rest is in the reports."""
    counts = Counter(name for arm in record.arms for name in arm.diagnostics)
    return tuple(name for name, count in counts.items() if RARE * count >= len(record.ranked))


def study_rows(record: StudyRecord) -> tuple[StudyRow, ...]:
    """Arms with their heads, and the controls among them, by mean test accuracy; then the rest."""
    groups = [(tested(one.runs), [_control_row(one, record)]) for one in controls(record)]
    groups += [(arm.test, _arm_rows(arm, record)) for arm in record.ranked]
    ordered = sorted(groups, key=lambda group: -(group[0].mean if group[0] else 0.0))
    rest = [
        StudyRow("failed", arm.name, _why(arm)) for arm in record.arms if arm not in record.ranked
    ]
    return (*(row for _, rows in ordered for row in rows), *rest)


def _why(arm: Arm) -> str:
    if arm.state == "diverged":
        who = f"the {arm.stage} " if arm.stage else ""
        return f"{who}diverged: {arm.message.split(';')[0]}"
    return "not run yet"


def _control_row(one: Control, record: StudyRecord) -> StudyRow:
    """Its diagnostics, where they are the same beside all arms: they may look at the teacher."""
    beside = [arm.control_diagnostics for arm in record.arms if arm.name in one.arms]
    shown = [{_diagnostic(each.get(name)) for each in beside} for name in diagnostic_names(record)]
    return StudyRow(
        "control",
        "control",
        one.about,
        test=interval(tested(one.runs)),
        diagnostics=tuple(said.pop() if len(said) == 1 else NOTHING for said in shown),
        seconds=_seconds(one.runs),
    )


def _arm_rows(arm: Arm, record: StudyRecord) -> list[StudyRow]:
    row = StudyRow(
        "arm",
        arm.name,
        arm_note(arm, record),
        link=f"{quote(arm.directory)}/report.html",
        test=interval(arm.test),
        gain=said(arm.gain),
        against=Said(NOTHING) if arm.name == record.against else said(arm.over_against),
        diagnostics=tuple(
            _diagnostic(arm.diagnostics.get(name)) for name in diagnostic_names(record)
        ),
        seconds=_seconds(arm.runs),
        made=NOTHING if arm.made is None else duration(arm.made),
    )
    heads = dict.fromkeys(head for run in arm.runs for head in run.heads)
    blank = ("",) * len(row.diagnostics)
    return [row] + [
        StudyRow("head", head, head_note(head), test=_head(arm, head), diagnostics=blank)
        for head in heads
    ]


def _diagnostic(found: Spread | None) -> str:
    return NOTHING if found is None else f"{found.mean:.3g}"


def _head(arm: Arm, head: str) -> str:
    return interval(spread(run.heads.get(head, Accuracy()).last for run in arm.runs))


def arm_note(arm: Arm, record: StudyRecord) -> str:
    """Method, teacher and student, as far as the arms differ in them."""
    teachers = {each.teacher for each in record.arms}
    students = {each.student for each in record.arms}
    parts = [arm.method] if len({each.method for each in record.arms}) > 1 else []
    if len(teachers) > 1 and arm.teacher:
        parts.append(f"{arm.teacher} \u2192 {arm.student}")
    elif len(students) > 1:
        parts.append(arm.student)
    return ", ".join(parts)


def said(gain: Gain | None) -> Said:
    """A gain in words.

    >>> said(Gain(0.0123, 0.004, 0.0206, 0.01, 0.03, "helps")).range
    '+0.40 to +2.06'
    """
    if gain is None:
        return Said()
    known = gain.low is not None and gain.high is not None
    return Said(
        points=points(gain.mean),
        range=f"{points(gain.low)} to {points(gain.high)}" if known else "",
        word=gain.word,
        p=p_text(gain.p_holm),
    )


def p_text(p: float | None) -> str:
    """A p value as it is usually written.

    >>> p_text(0.0312), p_text(1.0), p_text(0.00001), p_text(None)
    ('p = 0.031', 'p = 1', 'p < 0.001', '')
    """
    if p is None:
        return ""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def _seconds(runs: tuple[TrainedRun, ...]) -> str:
    found = spread(run.seconds for run in runs)
    return duration(found.mean if found else None)
