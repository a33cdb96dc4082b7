"""The rows of a study's table, best first, as text ready to be shown."""

from collections import Counter
from dataclasses import dataclass, replace
from urllib.parse import quote

from stillhouse.records.metric import NOTHING, Metric
from stillhouse.records.own_code import called
from stillhouse.records.run import SeedScores
from stillhouse.records.study import Arm, Comparison
from stillhouse.report.study_record import StudyRecord, diagnosed, tested
from stillhouse.report.wording import duration, head_note, interval
from stillhouse.verdict.spread import Spread, spread

RARE = 8
"""A diagnostic that fewer than one arm in so many has is no column of the table."""


@dataclass(frozen=True)
class GainWords:
    """A gain in words: its mean, interval alone, word after correction, corrected p.

    ``rows``: the interval for other test rows as well.
    """

    mean: str = NOTHING
    range: str = ""
    word: str = ""
    p: str = ""
    rows: str = ""


@dataclass(frozen=True)
class StudyRow:
    """One line; ``kind`` is arm, head, control or failed; the metric over seeds."""

    kind: str
    name: str
    note: str = ""
    link: str = ""
    test: str = ""
    gain: GainWords = GainWords("")
    against: GainWords = GainWords("")
    diagnostics: tuple[str, ...] = ()
    seconds: str = ""
    made: str = ""


@dataclass(frozen=True)
class Control:
    """A control that some arms share."""

    about: str
    runs: tuple[SeedScores, ...]
    arms: tuple[str, ...]


def controls(record: StudyRecord) -> tuple[Control, ...]:
    """The controls of a study, each once: the same model with the same scores of each seed."""
    found: dict[object, Control] = {}
    for arm in record.arms:
        if arm.controls:
            key = (arm.student_model, tuple((run.seed, run.test) for run in arm.controls))
            known = found.get(key) or Control(_control(arm), arm.controls, ())
            found[key] = replace(known, arms=(*known.arms, arm.name))
    return tuple(found.values())


def _control(arm: Arm) -> str:
    return f"{called(arm.student_model)}, {arm.epochs} epoch{'s' if arm.epochs > 1 else ''}"


def diagnostic_names(record: StudyRecord) -> tuple[str, ...]:
    """The diagnostics that at least one arm in eight has; the others are in the arms' reports."""
    counts = Counter(name for arm in record.arms for name in diagnosed(arm.runs))
    return tuple(name for name, count in counts.items() if RARE * count >= len(record.ranked))


def study_rows(record: StudyRecord) -> tuple[StudyRow, ...]:
    """Arms with their heads, and the controls among them, best first; then the rest."""
    groups = [(tested(one.runs), [_control_row(one, record)]) for one in controls(record)]
    groups += [(found, _arm_rows(arm, record)) for arm, found in record.scored]
    ordered = sorted(groups, key=lambda group: -record.merit(group[0]))
    ranked = {arm.name for arm in record.ranked}
    rest = [StudyRow("failed", a.name, _why(a)) for a in record.arms if a.name not in ranked]
    return (*(row for _, rows in ordered for row in rows), *rest)


def _why(arm: Arm) -> str:
    if arm.state == "diverged":
        who = f"the {arm.stage} " if arm.stage else ""
        return f"{who}diverged: {arm.message.split(';')[0]}"
    return "not run yet"


def _control_row(one: Control, record: StudyRecord) -> StudyRow:
    """Its diagnostics, where they are the same beside all arms: they may look at the teacher."""
    beside = [diagnosed(arm.controls) for arm in record.arms if arm.name in one.arms]
    shown = [{_diagnostic(each.get(name)) for each in beside} for name in diagnostic_names(record)]
    return StudyRow(
        "control",
        "control",
        one.about,
        test=interval(tested(one.runs), record.metric),
        diagnostics=tuple(said.pop() if len(said) == 1 else NOTHING for said in shown),
        seconds=_seconds(one.runs),
    )


def _arm_rows(arm: Arm, record: StudyRecord) -> list[StudyRow]:
    metric, shown = record.metric, diagnosed(arm.runs)
    rival = gain_words(arm.over_against, metric) if arm.name != record.against else GainWords()
    row = StudyRow(
        "arm",
        arm.name,
        arm_note(arm, record),
        link=f"{quote(arm.directory)}/report.html",
        test=interval(tested(arm.runs), metric),
        gain=replace(gain_words(arm.gain, metric), rows=_with_rows(arm, metric)),
        against=rival,
        diagnostics=tuple(_diagnostic(shown.get(name)) for name in diagnostic_names(record)),
        seconds=_seconds(arm.runs),
        made=NOTHING if arm.transfer is None else duration(arm.transfer.seconds),
    )
    heads = dict.fromkeys(head for run in arm.runs for head in run.heads)
    blank = ("",) * len(row.diagnostics)
    return [row] + [
        StudyRow("head", head, head_note(head), test=_head(arm, head, metric), diagnostics=blank)
        for head in heads
    ]


def _with_rows(arm: Arm, metric: Metric) -> str:
    found = arm.with_rows
    if found is None or found.low is None or found.high is None:
        return ""
    return metric.span(found.low, found.high)


def _diagnostic(found: Spread | None) -> str:
    return NOTHING if found is None else f"{found.mean:.3g}"


def _head(arm: Arm, head: str, metric: Metric) -> str:
    return interval(spread(run.heads[head].last for run in arm.runs if head in run.heads), metric)


def arm_note(arm: Arm, record: StudyRecord) -> str:
    """Method, teacher and student, as far as the arms differ in them."""
    teachers = {each.teacher_model for each in record.arms}
    students = {each.student_model for each in record.arms}
    parts = [arm.method] if len({each.method for each in record.arms}) > 1 else []
    if len(teachers) > 1 and arm.teacher_model:
        parts.append(f"{arm.teacher_model} \u2192 {arm.student_model}")
    elif len(students) > 1:
        parts.append(arm.student_model)
    return called(", ".join(parts))


def gain_words(gain: Comparison | None, metric: Metric) -> GainWords:
    """A gain in words."""
    if gain is None:
        return GainWords()
    known = gain.low is not None and gain.high is not None
    return GainWords(
        mean=metric.moved(gain.mean),
        range=metric.span(gain.low, gain.high) if known else "",
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


def _seconds(runs: tuple[SeedScores, ...]) -> str:
    found = spread(run.seconds for run in runs)
    return duration(found.mean if found else None)
