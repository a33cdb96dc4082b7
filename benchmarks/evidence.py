"""The tables of studies in docs/evidence, written anew from their result files.

    python benchmarks/evidence.py          # rewrites what stands between the marks of each page

A page marks the place of a table by `<!-- table: NAME.json -->` and `<!-- end -->`; of one that is
marked by `<!-- gains: NAME.json -->`, with columns that no result file holds, only the cells with
gains are written. Results keep the test metric of every seed, so gains, intervals and words are
those of the test as it is now; what a result file of an earlier day lacks is left empty.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from result_files import RESULTS, ROOT
from stillhouse.records.metric import CLASSIFICATION, Metric
from stillhouse.records.study import Comparison, StudyTable
from stillhouse.report.study_record import StudyRecord
from stillhouse.report.study_rows import gain_words
from stillhouse.studies.comparisons import compared
from stillhouse.verdict.judgement import NOT_SHOWN
from study_result import AGAINST, markdown

PAGES = sorted((ROOT / "docs" / "evidence").glob("*.md"))
MARKED = re.compile(r"(<!-- (table|gains): ([\w.-]+)\.json -->\n)(.*?)\n(<!-- end -->)", re.DOTALL)
OVER = {"over the control": "gain", "gain": "gain", "over tuned KD": "over_against"}
"""Columns of gains, by their title: which comparison of an arm they hold."""
ROLES = ("runs", "controls", "teacher")


def rewritten(page: str) -> str:
    """A page with each marked table from its result file."""

    def written(found: re.Match[str]) -> str:
        record = restored(json.loads((RESULTS / f"{found[3]}.json").read_text("utf-8")))
        written_by = same_columns if found[2] == "table" else with_gains
        text = written_by(found[4], record)
        return f"{found[1]}{text}\n{found[5]}"

    return MARKED.sub(written, page)


def same_columns(table: str, record: StudyRecord) -> str:
    """The table of a study, with the columns that stand in the page."""
    wanted = {cell.strip() for cell in table.split("\n")[0].split("|")}
    lines = [re.split(r"(?<!\\)\|", line) for line in markdown(record).split("\n")]
    kept = [at for at, title in enumerate(lines[0]) if title.strip() in wanted]
    return "\n".join("|".join(line[at] for at in kept if at < len(line)) for line in lines)


def with_gains(table: str, record: StudyRecord) -> str:
    """A table by arms with its cells of gains written anew."""
    arms = {arm.name: arm for arm in record.arms}
    lines = table.split("\n")
    titles = [cell.strip() for cell in lines[0].split("|")]
    for at, line in enumerate(lines[2:], start=2):
        cells = line.split("|")
        arm = arms.get(cells[1].strip())
        for column, title in enumerate(titles):
            found = getattr(arm, OVER[title]) if arm and title in OVER else None
            if found is not None and column < len(cells):
                words = AGAINST if OVER[title] == "over_against" else {}
                cells[column] = f" {gain_cell(found, record.metric, words)} "
        lines[at] = "|".join(cells)
    return "\n".join(lines)


def gain_cell(found: Comparison, metric: Metric, words: Mapping[str, str]) -> str:
    """A gain with its interval, and its word where there is one."""
    said = gain_words(found, metric)
    shown = f"{said.mean} ({said.range})" if said.range else said.mean
    return shown if found.word == NOT_SHOWN else f"{shown}, **{words.get(found.word, found.word)}**"


def restored(result: Mapping[str, Any]) -> StudyRecord:
    """A result file as the study that it was, judged by the test of today."""
    study = {"task": CLASSIFICATION.plain(), "rivals": [], **result["study"]}
    arms = [_arm(each) for each in study["arms"]]
    known = {key: study[key] for key in StudyTable.model_fields if key in study}
    record = StudyRecord.model_validate({**known, "arms": arms, "name": "", "written": ""})
    rows = record.data.test if record.data else None
    step = 1 / rows if rows and record.metric.share else None
    steps = dict.fromkeys((arm.name for arm in record.arms), step)
    over = [arm["name"] for arm in study["arms"] if arm.get("over_against")]
    judged = compared(
        record.arms,
        record.against,
        record.metric,
        steps=steps,
        same_test=over,
        claims=record.claims,
        margin=record.margin,
    )
    return record.model_copy(update={"arms": judged})


def _arm(kept: Mapping[str, Any]) -> dict[str, Any]:
    """An arm with a row per run in place of a column per measure."""
    shown = {key: value for key, value in kept.items() if not key.endswith("_parameters")}
    shown.pop("costs", None)
    blank = {"at": None, "teacher_model": None, "directory": "", "gain": None, "over_against": None}
    return {**blank, **shown, **{role: _rows(kept.get(role) or {}) for role in ROLES}} | {
        "gain": None,
        "over_against": None,
    }


def _rows(columns: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = []
    for at, seed in enumerate(columns.get("seeds", [])):
        last, best = columns["last"][at], columns["best"][at]
        heads = columns.get("heads", {}).items()
        found.append(
            {
                "seed": seed,
                "seconds": columns["seconds"][at] or 0.0,
                "test": {"last": last, "best": best},
                "validation": {"last": columns["validation"][at], "best": None},
                "heads": {name: {"last": lasts[at], "best": None} for name, lasts in heads},
                "diagnostics": {
                    name: values[at]
                    for name, values in columns.get("diagnostics", {}).items()
                    if values[at] is not None
                },
            }
        )
    return found


def main() -> None:
    for page in PAGES:
        before = page.read_text("utf-8")
        after = rewritten(before)
        if after != before:
            page.write_text(after, "utf-8")
            print(f"{page.relative_to(Path.cwd())}: rewritten")


if __name__ == "__main__":
    main()
