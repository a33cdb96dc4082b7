"""The study of a result file, judged by the test of today from the numbers of its seeds."""

from collections.abc import Container, Mapping
from typing import Any

from stillhouse.records.metric import CLASSIFICATION
from stillhouse.records.study import Arm, StudyTable
from stillhouse.report.study_record import StudyRecord
from stillhouse.studies.comparisons import compared

ROLES = ("runs", "controls", "teacher")
BLANK = {"at": None, "teacher_model": None, "directory": "", "gain": None, "over_against": None}
"""What a result file does not hold, or what is judged anew."""


def restored(result: Mapping[str, Any], readings: Container[str] = ()) -> StudyRecord:
    """A result file as the study that it was; a word or p in it counts for nothing.

    Args:
        result: what the file holds.
        readings: the diagnostics that are wanted, by name.
    """
    study = {"task": CLASSIFICATION.plain(), "rivals": [], **result["study"]}
    arms = [_arm(each, readings) for each in study["arms"]]
    known = {key: study[key] for key in StudyTable.model_fields if key in study}
    record = StudyRecord.model_validate({**known, "arms": arms, "name": "", "written": ""})
    rows = record.data.test if record.data else None
    step = 1 / rows if rows and record.metric.share else None
    judged = compared(
        record.arms,
        record.against,
        record.metric,
        steps=dict.fromkeys((arm.name for arm in record.arms), step),
        same_test=[arm["name"] for arm in study["arms"] if arm.get("over_against")],
        claims=record.claims,
        margin=record.margin,
    )
    return record.model_copy(update={"arms": judged})


def _arm(kept: Mapping[str, Any], readings: Container[str]) -> dict[str, Any]:
    """An arm with a row per run in place of a column per measure."""
    shown = {key: kept[key] for key in Arm.model_fields if key in kept and key != "costs"}
    rows = {role: _rows(kept.get(role) or {}, readings) for role in ROLES}
    return {**BLANK, **shown, **rows, "gain": None, "over_against": None}


def _rows(columns: Mapping[str, Any], readings: Container[str]) -> list[dict[str, Any]]:
    found = []
    for at, seed in enumerate(columns.get("seeds", [])):
        heads = columns.get("heads", {}).items()
        read = [each for each in columns.get("diagnostics", {}).items() if each[0] in readings]
        found.append(
            {
                "seed": seed,
                "seconds": columns["seconds"][at] or 0.0,
                "test": {"last": columns["last"][at], "best": columns["best"][at]},
                "validation": {"last": columns["validation"][at], "best": None},
                "heads": {name: {"last": lasts[at], "best": None} for name, lasts in heads},
                "diagnostics": {name: v[at] for name, v in read if v[at] is not None},
            }
        )
    return found
