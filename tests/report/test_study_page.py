"""The page of a study: what it says, what it draws, and that text in it stays text."""

import re
from pathlib import Path
from typing import Any

import pytest
from study_of_twelve import CONTROL, study_of_twelve

from stillhouse.errors import RunError
from stillhouse.records.checked import write_checked
from stillhouse.report.short_names import short_names
from stillhouse.report.study_axis import axis_figure
from stillhouse.report.study_figures import arms_figure
from stillhouse.report.study_finding import finding
from stillhouse.report.study_front import front_figure
from stillhouse.report.study_maps import maps
from stillhouse.report.study_page import render_study, write_study_report
from stillhouse.report.study_record import StudyRecord, read_study
from stillhouse.report.study_rows import controls, study_rows
from stillhouse.report.wording import NOTHING


def record(directory: Path, table: dict[str, Any]) -> StudyRecord:
    write_checked(directory / "study.json", table)
    return read_study(directory)


@pytest.fixture
def study(tmp_path: Path) -> StudyRecord:
    return record(tmp_path, study_of_twelve())


def visible(page: str) -> str:
    text = re.sub(r"(?s)<(script|style).*?</\1>", " ", page)
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


def test_the_page_tells_what_was_found(study: StudyRecord) -> None:
    text = visible(render_study(study))
    assert "Of 11 arms, 7 are better than their control: teacher head 0.5 (+0.54 points)" in text
    assert "5 seeds and 11 arms: a gain of about 2.0 standard deviations is found 8 times" in text
    assert "Better than kd: teacher head 0.5 (+0.30 points) and “projector mlp, dist" in text
    assert "Diverged, and so without a number: rate 30." in text
    assert "97.64 ± 0.19 +0.54 +0.40 to +0.67 helps p &lt; 0.001" in text
    assert "by teacher head 97.77 ± 0.07" in text
    assert "embedding cka" in text
    assert "corrected for the number of comparisons (11 with controls, 10 with kd)" in text
    assert "Not finished" not in text


@pytest.mark.parametrize(
    ("name", "row"), [("arm {}", 20), ("arm {}, a name of two lines at least", 31)]
)
def test_rows_move_closer_where_names_have_one_line(tmp_path: Path, name: str, row: int) -> None:
    table = study_of_twelve()
    first = next(arm for arm in table["arms"] if arm["gain"])
    table["arms"] = [{**first, "name": name.format(at)} for at in range(40)]
    table |= {"claims": [], "against": None, "rivals": []}
    figure = arms_figure(record(tmp_path, table))
    assert (figure.layout.height - 64) / len(figure.layout.yaxis.ticktext) == row


def test_an_arm_of_two_seeds_is_none_without_a_difference(tmp_path: Path) -> None:
    """And gains that are equal differ by rounding: what could be shown is not 0 points."""
    table = study_of_twelve()
    table["arms"] = [arm for arm in table["arms"] if arm["gain"]][:2]
    first, second = table["arms"]
    second["gain"] |= {"word": "too few seeds to tell", "seeds": 2, "p_holm": None}
    for mine, theirs in zip(first["runs"], first["controls"], strict=True):
        mine["test"] = {key: value + 0.01 for key, value in theirs["test"].items()}
    second["runs"], second["controls"] = second["runs"][:2], second["controls"][:2]
    table |= {"claims": [second["name"]], "against": None}
    said = " ".join(finding(record(tmp_path, table)))
    assert f"1 is of fewer than 3 seeds, too few to tell: “{second['name']}" in said
    assert "For the other" not in said
    assert "5 seeds: a gain of" in said
    assert "about 0.00" not in said


def test_arms_that_were_still_learning_are_named(tmp_path: Path) -> None:
    table = study_of_twelve()
    table["arms"][0]["cautions"] = ["The control is still rising: it gained 3 points."]
    table["arms"][0]["with_rows"] = {
        "rows": 10000, "low": -0.0021, "high": 0.0084, "over_seeds": 0.001, "over_rows": 0.002,
    }  # fmt: skip
    text = visible(render_study(record(tmp_path, table)))
    assert "1 of 12 arms kd The control is still rising" in text
    assert "rows: \u22120.21 to +0.84" in text
    assert "on these 10,000 test rows" in text


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["tuned KD", "T 2, weight 9"], ["tuned KD", "T 2, weight 9"]),
        (["method=kd, temperature=2.0, weight=9.0", "method=kd, temperature=4.0, weight=9.0"],
         ["T 2", "T 4"]),
        (["kd", "kd weight=3.0, label_weight=0.1", "kd weight=9, label_weight=0.1", "dkd"],
         ["kd", "kd weight 3", "kd weight 9", "dkd"]),
        (["projector=none, ema=true", "projector=mlp, ema=false"],
         ["no projector, ema", "projector mlp, no ema"]),
        (["lr=1.0", "lr=1"], ["lr=1.0", "lr=1"]),
        (["a=1, b=(kd weight=3), c=[1 2]", "a=1, b=none, c=[1 2]"], ["b (kd weight=3)", "no b"]),
        (["weight=1", ""], ["weight 1", ""]),
        (["x <b>=1, y", "1 + 1 = 2"], ["x <b>=1, y", "1 + 1 = 2"]),
    ],
)  # fmt: skip
def test_short_names_are_what_differs(names: list[str], expected: list[str]) -> None:
    assert list(short_names(names).values()) == expected


def test_rows_are_ranked_with_the_control_in_its_place(study: StudyRecord) -> None:
    rows = [row for row in study_rows(study) if row.kind in ("arm", "control")]
    shown = [float(row.test.split()[0]) for row in rows]
    assert shown == sorted(shown, reverse=True)
    (control,) = [row for row in rows if row.kind == "control"]
    assert control.test.startswith(f"{100 * sum(CONTROL) / 5:.2f}")
    assert study_rows(study)[-1].note == "diverged: term 'kd' is not finite at step 12"
    assert rows[0].link == "arms/teacher-head-0.5/report.html"


def test_diagnostics_are_means_and_the_controls_are_shown_where_they_agree(tmp_path: Path) -> None:
    table = study_of_twelve()
    for arm in table["arms"]:
        for seed, run in enumerate(arm["controls"]):
            run["diagnostics"] = {"embedding_cka": 0.4 + 0.1 * seed, "spectrum": [1.0, 0.5]}
    shown = {row.name: row.diagnostics[0] for row in study_rows(record(tmp_path, table))[:-1]}
    said = (shown["kd"], shown["control"], shown["label smoothing"])
    assert said == ("0.71", "0.6", NOTHING)
    table["arms"][1]["controls"][0]["diagnostics"]["embedding_cka"] = 0.9  # beside another teacher
    rows = study_rows(record(tmp_path, table))
    assert next(row for row in rows if row.name == "control").diagnostics[0] == NOTHING


def test_arms_of_another_budget_have_a_control_of_their_own(tmp_path: Path) -> None:
    table = study_of_twelve()
    arm = table["arms"][1]
    arm["epochs"] = 60
    arm["controls"] = [{**run, "test": {"last": 0.98, "best": 0.98}} for run in arm["controls"]]
    found = record(tmp_path, table)
    assert [one.about for one in controls(found)] == [
        "convnet-4-8-64, 30 epochs", "convnet-4-8-64, 60 epochs",
    ]  # fmt: skip
    assert controls(found)[1].arms == ("kd, small teacher",)
    assert not arms_figure(found).layout.shapes, "no single level to draw"
    assert "control" in [trace.name for trace in axis_figure(found).data]


def test_the_arms_are_drawn_in_order_with_their_intervals(study: StudyRecord) -> None:
    figure = arms_figure(study)
    names = figure.layout.yaxis.ticktext
    assert names[0] == "teacher head 0.5"
    assert len(names) == 12
    assert "no projector, distance l2" in names, "short, as its settings are said"
    said = [trace.text[0] for trace in figure.data if len(trace.x) == 1]
    assert any(each.startswith("projector=none, distance=l2: ") for each in said), "in full"
    (level,) = figure.layout.shapes
    assert level.x0 == pytest.approx(100 * sum(CONTROL) / 5)
    means = [trace for trace in figure.data if trace.marker.symbol == "diamond"]
    _, first = study.scored[0]
    assert means[0].x[0] == pytest.approx(100 * first.mean)
    assert means[0].error_x.array[0] == pytest.approx(100 * first.half)


def test_the_axis_is_the_teachers_accuracy_or_a_setting(tmp_path: Path, study: StudyRecord) -> None:
    figure = axis_figure(study)
    joined = {trace.name: trace for trace in figure.data}
    assert list(joined["kd"].x) == pytest.approx([97.8, 98.9, 99.35]), "arms of other teachers"
    assert joined["kd"].mode == "lines+markers"
    assert joined["other arms, by name"].mode == "markers"
    found = record(tmp_path, study_of_twelve("method.alpha"))
    at = sorted({x for trace in axis_figure(found).data for x in trace.x})
    assert at == [0.5, 4.0]
    assert axis_figure(found).layout.xaxis.title.text == "method.alpha"


def with_times(table: dict[str, Any]) -> dict[str, Any]:
    """The arms of three students of 1, 2 and 4 ms, a little apart in each arm."""
    for at, arm in enumerate(table["arms"][:-1]):
        taken = 2.0 ** (at % 3)
        arm["student_model"] = f"convnet-{at % 3}"
        arm["costs"] = {
            "name": "student", "parameters": 1, "macs": 1, "file_bytes": 1,
            "milliseconds": {"1": taken * (1 + 0.01 * (at // 3 - 1)), "64": None},
        }  # fmt: skip
    return table


def test_the_front_joins_the_arms_that_nothing_is_faster_and_better_than(tmp_path: Path) -> None:
    table = study_of_twelve()
    assert front_figure(record(tmp_path, table)) is None, "not timed"
    found = record(tmp_path, with_times(table))
    others, best = front_figure(found).data
    spots = [*zip(others.x, others.y, strict=True), *zip(best.x, best.y, strict=True)]
    assert len(spots) == 11
    for spot in zip(best.x, best.y, strict=True):
        assert not [one for one in spots if one[0] <= spot[0] and one[1] > spot[1]]
    for x, y in zip(others.x, others.y, strict=True):
        assert [one for one in spots if one[0] <= x and one[1] >= y and one != (x, y)]
    assert sorted(set(others.x) | set(best.x)) == pytest.approx([1.0, 2.0, 4.0], rel=0.02)
    assert "How good for how long a wait" in visible(render_study(found))
    for arm in table["arms"]:
        arm["student_model"] = "convnet"
    assert front_figure(record(tmp_path, table)) is None, "one student has no front"


def test_words_on_the_axis_stay_words(tmp_path: Path) -> None:
    table = study_of_twelve("method.projector")
    for arm in table["arms"]:
        arm["at"] = "<b>none</b>"
    at = {x for trace in axis_figure(record(tmp_path, table)).data for x in trace.x}
    assert at == {"&lt;b&gt;none&lt;/b&gt;"}


def test_a_wide_setting_has_a_logarithmic_axis_and_words_have_places(tmp_path: Path) -> None:
    for values, expected in (((0.01, 1, 10), "log"), (("none", "linear", 1), "category")):
        table = study_of_twelve("method.weight")
        for arm, value in zip(table["arms"], values, strict=False):
            arm["at"] = value
        for arm in table["arms"][3:]:
            arm["at"] = None
        assert axis_figure(record(tmp_path, table)).layout.xaxis.type == expected


def test_a_sweep_has_a_map_of_its_means(study: StudyRecord) -> None:
    (found,) = maps(study)
    assert found.columns == ("l2", "log_sum")
    assert [name for name, _ in found.rows] == ["none", "linear", "mlp"]
    shown = [float(cell.text) for _, cells in found.rows for cell in cells]
    means = {arm.name: 100 * found.mean for arm, found in study.scored}
    assert shown[0] == pytest.approx(means["projector=none, distance=l2"], abs=0.006)
    darkest = max((cell for _, cells in found.rows for cell in cells), key=lambda c: c.shade)
    assert darkest.text == f"{max(shown):.2f}"


def test_numbers_in_a_map_are_in_order_and_gaps_are_empty(tmp_path: Path) -> None:
    table = study_of_twelve()
    for arm, (a, b) in zip(table["arms"], ((10, 1), (9, 1), (10, 2)), strict=False):
        arm["settings"] = {"x.a": a, "x.b": b}
    (found,) = maps(record(tmp_path, {**table, "swept": ["x.a", "x.b"]}))
    assert [name for name, _ in found.rows] == ["9", "10"]
    assert found.rows[0][1][1].text == ""
    assert not found.averaged


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"arms": []}, "No arm has finished yet."),
        ({"against": ""}, "Of 11 arms, 7 are better"),
    ],
)
def test_the_finding_of_lesser_studies(tmp_path: Path, change: dict, expected: str) -> None:
    said = " ".join(finding(record(tmp_path, {**study_of_twelve(), **change})))
    assert expected in said
    assert "kd:" not in said


def test_two_seeds_are_no_finding_and_show_their_interval(tmp_path: Path) -> None:
    table = study_of_twelve()
    for arm in table["arms"]:
        arm["gain"] = arm["gain"] and {
            **arm["gain"],
            "p_holm": None,
            "word": "too few seeds to tell",
        }
        arm["over_against"] = None
    found = record(tmp_path, table)
    assert "too few to tell" in finding(found)[0]
    row = next(row for row in study_rows(found) if row.name == "teacher head 0.5")
    assert (row.gain.range, row.gain.word, row.gain.p) == (
        "+0.40 to +0.67",
        "too few seeds to tell",
        "",
    )
    assert "too few seeds to tell" in visible(render_study(found))


def test_one_seed_is_no_finding(tmp_path: Path) -> None:
    table = study_of_twelve()
    for arm in table["arms"]:
        arm["runs"], arm["controls"] = arm["runs"][:1], arm["controls"][:1]
        arm["gain"] = arm["gain"] and {**arm["gain"], "seeds": 1, "low": None, "high": None,
                                       "p": None, "p_holm": None,
                                       "word": "too few seeds to tell"}  # fmt: skip
        arm["over_against"] = None
    found = record(tmp_path, table)
    assert finding(found)[0].startswith("One seed is too few to tell")
    assert "too few seeds to tell" in visible(render_study(found))


def test_a_study_that_goes_on_says_so(tmp_path: Path) -> None:
    table = study_of_twelve()
    waiting = {**table["arms"][-1], "name": "later", "state": "waiting", "message": ""}
    table |= {"finished": False, "arms": [*table["arms"], waiting]}
    text = visible(render_study(record(tmp_path, table)))
    assert "Not finished" in text
    assert "1 arm is still to be run" in text
    assert "later not run yet" in text
    bare = {**table, "arms": [waiting], "data": None, "against": None, "swept": [], "axis": None}
    assert "No arm has finished yet." in visible(render_study(record(tmp_path, bare)))


def test_text_of_a_study_stays_text(tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script>\" onload='x' <b>"
    table = study_of_twelve()
    for arm in table["arms"]:
        arm |= {"name": arm["name"] + hostile, "method": hostile, "student_model": hostile}
        arm["settings"] = {hostile: hostile}
    table |= {"title": hostile, "against": hostile, "axis": "teacher"}
    page = render_study(record(tmp_path, table))
    outside = re.sub(r"(?s)<(script|style).*?</\1>", " ", page)
    assert "alert(1)" in outside
    assert "<b>" not in outside
    assert "<script>alert" not in page


def test_the_file_is_written_and_a_folder_without_a_study_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no study\.json"):
        write_study_report(tmp_path)
    (tmp_path / "study.json").write_text("{")
    with pytest.raises(RunError, match="cannot be read as JSON"):
        write_study_report(tmp_path)
    record(tmp_path, study_of_twelve())
    assert write_study_report(tmp_path) == tmp_path / "report.html"
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count("plotly.js (basic") == 1
    assert "&gt; *" not in page.split("</style>")[0], "rules are not escaped"
