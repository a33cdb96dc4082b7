"""The table of students that were made out of their teacher, with what they cost."""

from collections.abc import Mapping, Sequence
from typing import Any

from marks import Results, table
from stillhouse.records.metric import ACCURACY
from stillhouse.report.study_record import tested
from stillhouse.report.study_rows import gain_words
from stillhouse.report.wording import count, interval
from stillhouse.verdict.spread import spread
from tables.arms import gain_text, word_text
from tables.recorded import not_recorded
from tables.restored import restored

TITLES = (
    *("student", "parameters", "MACs", "bytes", "test % before", "test %, distilled"),
    *("control, test %", "over its control", "corrected"),
)
BATCHES = ("1", "64")
TIMES = "times"
"""The word of a mark for columns of time, beside the teacher's as both answered in turns."""
BEFORE = "student before distillation"


def students(results: Results, words: Sequence[str]) -> str:
    """Best first; what a student costs is not recorded for those that are no part of a teacher."""
    (found,) = results.values()
    record = restored(found)
    timed = TIMES in words
    costs = {arm["name"]: [*_costs(arm), *_times(arm, timed)] for arm in found["study"]["arms"]}
    titles = [*TITLES[:5], *[f"ms at {batch} (teacher)" for batch in BATCHES if timed], *TITLES[5:]]
    rows = []
    for arm in record.ranked:
        gain, metric = gain_words(arm.gain, record.metric), record.metric
        rows.append(
            [
                arm.name,
                *costs[arm.name],
                interval(tested(arm.runs), metric),
                interval(tested(arm.controls), metric),
                gain_text(gain),
                word_text(gain),
            ]
        )
        for head in dict.fromkeys(head for run in arm.runs for head in run.heads):
            told = interval(spread(run.heads[head].last for run in arm.runs), metric)
            empty = [""] * (len(titles) - 5)
            rows.append([f"&nbsp;&nbsp;by {head}", *empty, told, *[""] * 3])
    return f"{table(titles, rows)}\n\n{not_recorded(found)}"


def _costs(arm: Mapping[str, Any]) -> list[str]:
    """Parameters, MACs, bytes, and the metric before training."""
    for network in arm.get("costs", {}).get("networks", []):
        if network["name"] == BEFORE:
            before = network.get("accuracy", network.get("test"))
            numbers = (network["parameters"], network["macs"], network["file_bytes"])
            return [*(count(number) for number in numbers), ACCURACY.shown(before, 1)]
    parameters = arm.get("student_parameters") or arm["parameters"]["student"]
    return [count(parameters), *["not recorded"] * 3]


def _times(arm: Mapping[str, Any], timed: bool) -> list[str]:
    """Milliseconds of an answer at each batch, and the teacher's beside it."""
    known = {each["name"]: each for each in arm.get("costs", {}).get("networks", [])}
    if not timed or BEFORE not in known:
        return ["not recorded"] * (len(BATCHES) if timed else 0)
    both = [known[name]["milliseconds"] for name in (BEFORE, "teacher")]
    return ["{:.2f} ({:.2f})".format(*(each[batch] for each in both)) for batch in BATCHES]
