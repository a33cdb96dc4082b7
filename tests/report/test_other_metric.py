"""A run and a study that are measured by something else speak of nothing but that."""

import re
from pathlib import Path
from typing import Any

import pytest
from study_of_twelve import study_of_twelve

from stillhouse.records.checked import write_checked
from stillhouse.records.metric import MINUS, Metric
from stillhouse.report import read_run, write_report
from stillhouse.report.gains import gains_figure
from stillhouse.report.study_finding import finding
from stillhouse.report.study_page import render_study
from stillhouse.report.study_record import read_study
from stillhouse.report.study_rows import study_rows
from stillhouse.report.worth import worth
from stillhouse.runs.judging.verdict import judge

PERPLEXITY = {"name": "perplexity", "unit": "", "scale": 1.0, "higher_is_better": False}


def measured(scores: Any, metric: dict[str, Any]) -> Any:
    """The same record with this metric; values v become 10 (1 - v), so that lower is better."""
    if isinstance(scores, dict):
        turn = {"last", "best"} if set(scores) == {"last", "best"} else set()
        return {
            key: 10 * (1 - value) if key in turn and value is not None else measured(value, metric)
            for key, value in scores.items()
        }
    return [measured(each, metric) for each in scores] if isinstance(scores, list) else scores


@pytest.fixture
def lower(made) -> Path:
    made.scores = measured(made.scores, PERPLEXITY)
    made.scores["task"] = {"name": "language_model", "metric": PERPLEXITY}
    verdict = made.scores["verdict"]
    student, control = ([run["test"]["last"] for run in made.model(role)["runs"]]
                        for role in ("student", "control"))  # fmt: skip
    verdict |= judge("kd", student, control, metric=Metric(**PERPLEXITY)).plain()
    for line in made.metrics:
        for measure in line.get("validation", {}).values():
            measure["perplexity"] = 10 * (1 - measure.pop("accuracy"))
    return made.write()


def visible(page: str) -> str:
    text = re.sub(r"(?s)<(script|style).*?</\1>", " ", page)
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


def test_a_page_names_the_metric_it_has(lower: Path) -> None:
    text = visible(write_report(lower).read_text(encoding="utf-8"))
    assert "accura" not in text
    assert "points" not in text
    assert "Validation perplexity" in text
    assert "0.38 test perplexity" in text
    assert re.search(r"The student.{1,5}s test perplexity is 0\.38, the teacher.{1,5}s 0\.25", text)
    assert "Perplexity kept" not in text, "of what is better when it is less nothing is kept"
    assert "Yes, it helps 0.12 lower 95% interval 0." in text


def test_a_lower_value_is_a_gain(lower: Path) -> None:
    record = read_run(lower)
    assert record.verdict.word == "helps"
    assert record.verdict.gain == pytest.approx(0.12033, abs=1e-4)
    said = "kd helps: test perplexity 0.12 lower than the control's (95 % interval 0."
    assert record.verdict.sentence.startswith(said)
    assert worth(record).kept is None
    axis = gains_figure(record).layout.xaxis
    assert axis.title.text == f"perplexity, control {MINUS} student"
    assert axis.range[1] > 0.12


def test_a_study_ranks_the_lowest_first(tmp_path: Path) -> None:
    table = measured(study_of_twelve(), PERPLEXITY)
    table["task"] = {"name": "language_model", "metric": PERPLEXITY}
    write_checked(tmp_path / "study.json", table)
    record = read_study(tmp_path)
    shown = [float(row.test.split()[0]) for row in study_rows(record) if row.kind == "arm"]
    assert shown == sorted(shown)
    assert "The lowest mean is that of teacher head 0.5, 0.24" in finding(record)[-2]
    text = visible(render_study(record))
    assert "accura" not in text
    assert "points" not in text
    assert "control minus student, on the test perplexity" in text
    assert "Against its control," in text
    rows = {row.name: row for row in study_rows(record) if row.kind == "arm"}
    most = max((arm for arm in record.arms if arm.gain), key=lambda arm: arm.gain.mean)
    assert rows[most.name].gain.mean == f"{most.gain.mean:.2f} lower"
