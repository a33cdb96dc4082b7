"""What a study found, in plain sentences."""

from collections.abc import Sequence

from stillhouse.records.metric import Metric
from stillhouse.records.study import Arm, Comparison
from stillhouse.report.short_names import short_names
from stillhouse.report.study_record import StudyRecord, tested
from stillhouse.report.study_rows import controls
from stillhouse.report.wording import interval
from stillhouse.verdict.judgement import EQUIVALENT, HELPS, HURTS, LEAST, TOO_FEW
from stillhouse.verdict.paired import Paired, paired
from stillhouse.verdict.power import shown_by, smallest_gain

MOST = 4  # names in a sentence; more are counted


def finding(record: StudyRecord) -> tuple[str, ...]:
    """One paragraph: which arms are better than their control, which than the one they are against.

    "Better" and "worse" are said only of what is beyond chance after correcting for all arms, or
    for the claims among them.
    """
    record = _shortened(record)
    ranked = record.ranked
    if not ranked:
        return ("No arm has finished yet.", *_others(record))
    best = ranked[0]
    sentences = [_over_controls(ranked, record), *_could_show(ranked, record)]
    if record.against:
        sentences += [*_how_chosen(record), _over_arm(ranked, record.against, record.metric)]
    sentences.append(_highest(best, record))
    return (*sentences, *_others(record))


def _shortened(record: StudyRecord) -> StudyRecord:
    """The same study with the short names of its arms, as the figures and the table have them."""
    short = short_names(arm.name for arm in record.arms)
    arms = [arm.model_copy(update={"name": short[arm.name]}) for arm in record.arms]
    against = record.against and short.get(record.against, record.against)
    rivals = tuple(short.get(name, name) for name in record.rivals)
    return record.model_copy(update={"arms": tuple(arms), "against": against, "rivals": rivals})


def _over_controls(arms: Sequence[Arm], record: StudyRecord) -> str:
    metric = record.metric
    judged = [(arm.name, arm.gain) for arm in arms if arm.gain is not None]
    if not judged:
        return "The arms were run without controls, so nothing says whether they help."
    if all(gain.p_holm is None for _, gain in judged):
        seeds = max(gain.seeds for _, gain in judged)
        have = "One seed is" if seeds == 1 else "Two seeds are"
        return f"{have} too few to tell whether an arm helps; use at least three."
    better, worse = (_named(judged, word, metric) for word in (HELPS, HURTS))
    same = _named(judged, EQUIVALENT, metric)
    few = _named(judged, TOO_FEW, metric)
    left = len(judged) - len(better) - len(worse) - len(same) - len(few)
    said = [f"Of {len(judged)} arms," if len(judged) > 1 else "Of the one arm,"]
    if better:
        said.append(f"{_are(better)} better than {_its(better)} control: {_list(better)}.")
    else:
        said.append("none is shown to be better than its control.")
    if worse:
        said.append(f"{_are(worse)} worse: {_list(worse)}.")
    if same:
        said.append(f"{_are(same)} equivalent{_within(record)}: {_list(same)}.")
    if left and (better or worse or same):
        said.append(f"For the other{'' if left == 1 else f' {left}'} no difference is shown.")
    if few:
        said.append(f"{_are(few)} of fewer than {LEAST} seeds, too few to tell: {_list(few)}.")
    return " ".join(said)


def _within(record: StudyRecord) -> str:
    """The margin, in words."""
    margin = record.metric.difference(record.margin).lstrip("+")
    return f" within the margin of {margin}" if record.margin is not None else ""


def _could_show(arms: Sequence[Arm], record: StudyRecord) -> Sequence[str]:
    """What the seeds could show, in standard deviations and in the unit of the metric."""
    known = [each for arm in arms if (each := _gains(arm, record)) and each.count >= LEAST]
    if not known:
        return ()
    seeds, arms_known = min(each.count for each in known), len(known)
    judged = {arm.name for arm in arms if arm.gain and arm.gain.seeds >= LEAST}
    claims = sum(name in judged for name in record.claims) or None
    gain = smallest_gain(seeds, arms_known, claims)
    deviation = (sum(each.variance or 0.0 for each in known) / arms_known) ** 0.5
    here = record.metric.shown(None if gain is None else gain * deviation)
    unit = f" {record.metric.difference_unit}".rstrip()
    return (f"{shown_by(seeds, arms_known, claims)}, here about {here}{unit}.",)


def _gains(arm: Arm, record: StudyRecord) -> Paired | None:
    """The gains over the control, seed by seed; equal ones vary by rounding, as in the test."""
    metric, rows = record.metric, record.data.test if record.data else 0
    step = 1 / rows if rows and metric.share else None
    theirs = {run.seed: run.test.last for run in arm.controls}
    pairs = [(run.test.last, theirs.get(run.seed)) for run in arm.runs]
    found = [metric.gain(a, b) for a, b in pairs if a is not None and b is not None]
    return paired(found, step=step)


def _are(names: Sequence[str]) -> str:
    return "1 is" if len(names) == 1 else f"{len(names)} are"


def _its(names: Sequence[str]) -> str:
    return "its" if len(names) == 1 else "their"


def _how_chosen(record: StudyRecord) -> Sequence[str]:
    count = len(record.rivals)
    if count < 2:
        return ()
    return (f"{record.against} is the best of {count} such arms on validation.",)


def _over_arm(arms: Sequence[Arm], against: str, metric: Metric) -> str:
    judged = [(arm.name, arm.over_against) for arm in arms if arm.over_against is not None]
    known = [(name, gain) for name, gain in judged if gain.p_holm is not None]
    if not known:
        return f"Nothing can be said yet of {against} against the others."
    better, worse = (_named(known, word, metric) for word in (HELPS, HURTS))
    if not better and not worse:
        return f"No arm is shown to differ from {against}."
    parts = [f"better than {against}: {_list(better)}"] if better else []
    parts += [f"worse than {against}: {_list(worse)}"] if worse else []
    said = "; ".join(parts)
    return f"{said[0].upper()}{said[1:]}."


def _named(judged: Sequence[tuple[str, Comparison]], word: str, metric: Metric) -> list[str]:
    found = [(name, gain) for name, gain in judged if gain.word == word]
    found.sort(key=lambda pair: -abs(pair[1].mean))
    return [f"{_quoted(name)} ({metric.change(gain.mean)})" for name, gain in found]


def _quoted(name: str) -> str:
    return f"“{name}”" if "," in name else name


def _list(names: Sequence[str]) -> str:
    """Names in a sentence.

    >>> _list(["a", "b", "c"]), _list(["a", "b", "c", "d", "e", "f"])
    ('a, b and c', 'a, b, c, d and 2 more')
    """
    if len(names) > MOST + 1:
        return f"{', '.join(names[:MOST])} and {len(names) - MOST} more"
    if len(names) == 1:
        return names[0]
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _highest(best: Arm, record: StudyRecord) -> str:
    metric, unit = record.metric, f" {record.metric.unit}".rstrip()
    most = "highest" if metric.higher_is_better else "lowest"
    shown = interval(tested(best.runs), metric)
    said = f"The {most} mean is that of {_quoted(best.name)}, {shown}{unit}"
    known = [found for found in (tested(one.runs) for one in controls(record)) if found]
    if not known:
        return f"{said}."
    top = max(known, key=record.merit)
    best_control = "best control" if len(known) > 1 else "control"
    return f"{said}; the {best_control} reaches {interval(top, metric)}{unit}."


def _others(record: StudyRecord) -> list[str]:
    said = []
    diverged: dict[str, list[str]] = {}
    for arm in record.arms:
        if arm.state == "diverged":
            diverged.setdefault(arm.stage, []).append(_quoted(arm.name))
    for stage, names in diverged.items():
        why = f"The {stage} diverged, and so" if stage else "Diverged, and so"
        said.append(f"{why} without a number: {_list(names)}.")
    waiting = sum(arm.state == "waiting" for arm in record.arms)
    if waiting:
        said.append(f"{waiting} arm{' is' if waiting == 1 else 's are'} still to be run.")
    return said
