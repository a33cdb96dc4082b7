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
BEFORE = "student before distillation"


def students(results: Results, _: Sequence[str]) -> str:
    """Best first; what a student costs is not recorded for those that are no part of a teacher."""
    (found,) = results.values()
    record = restored(found)
    costs = {arm["name"]: _costs(arm) for arm in found["study"]["arms"]}
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
            rows.append([f"&nbsp;&nbsp;by {head}", *[""] * 4, told, *[""] * 3])
    return f"{table(TITLES, rows)}\n\n{not_recorded(found)}"


def _costs(arm: Mapping[str, Any]) -> list[str]:
    """Parameters, MACs, bytes, and the metric before training."""
    for network in arm.get("costs", {}).get("networks", []):
        if network["name"] == BEFORE:
            before = network.get("accuracy", network.get("test"))
            numbers = (network["parameters"], network["macs"], network["file_bytes"])
            return [*(count(number) for number in numbers), ACCURACY.shown(before, 1)]
    parameters = arm.get("student_parameters") or arm["parameters"]["student"]
    return [count(parameters), *["not recorded"] * 3]
