import pytest

from stillhouse.records.checked import write_checked
from stillhouse.report import read_run, write_report
from stillhouse.report.worth import worth


def said(made) -> str:
    found = worth(read_run(made.write()))
    return " ".join((found.answer, *found.sentences))


def test_the_ratios_are_those_of_the_record(made):
    found = worth(read_run(made.write()))

    assert found.kept == pytest.approx((0.9611 + 0.9667 + 0.9583) / 3 / 0.9750)
    assert found.smaller == pytest.approx(1104280 / 175283)
    assert found.cost == pytest.approx((20.1 + 12.0) / 10.0)


def test_no_share_is_kept_of_a_negative_number(made):
    for model in made.scores["models"]:
        for run in model["runs"]:
            run["test"] = {"last": -run["test"]["last"], "best": -run["test"]["best"]}
    assert worth(read_run(made.write())).kept is None


def test_a_control_that_still_rises_is_a_matter_of_budget(made):
    for run in made.model("control")["runs"][:2]:
        run["rise"] = 0.04
    assert "it may get as far alone" in said(made)
    page = write_report(made.directory).read_text(encoding="utf-8")
    assert "Yes, it helps, at this budget" in page
    made.model("control")["runs"][0].pop("rise")
    assert "alone" not in said(made)
    assert "at this budget" not in write_report(made.directory).read_text(encoding="utf-8")


def test_how_fast_both_answer_is_weighed_too(made):
    timed = [("teacher", 3.0, 160.0), ("student", 0.75, 20.0)]
    networks = [
        {"name": name, "parameters": 1, "macs": 1, "file_bytes": 1,
         "milliseconds": {"1": one, "64": many}}
        for name, one, many in timed
    ]  # fmt: skip
    costs = {"schema": 1, "derive": {}, "model": "m", "conditions": {}, "networks": networks}
    write_checked(made.write() / "costs.json", costs)
    found = worth(read_run(made.directory))
    assert found.faster == pytest.approx(4.0)
    assert (
        "The student answers 4.0\u00d7 faster: 0.75 ms for one image and 20 ms for 64, the "
        "teacher 3 ms for one image and 160 ms for 64." in found.sentences
    )


def test_the_sentences_of_a_run_that_helps(made):
    assert said(made) == (
        "Yes: +1.20 points, for 3.2 times the training time. "
        "The student keeps 98.7% of the teacher's test accuracy (96.20% against 97.50%) "
        "and is 6.3\u00d7 smaller. "
        "Training teacher and student took 32 s, the control 10 s (3.2\u00d7 the time)."
    )


@pytest.mark.parametrize(
    ("word", "begins"),
    [
        ("hurts", "No: the same model trained alone is more accurate, and cheaper."),
        ("no difference shown", "Not shown: the same model trained alone may be as accurate"),
        ("too few seeds to tell", "Too few seeds to tell"),
        (
            "equivalent within the margin",
            "No difference that matters: the same model trained alone is",
        ),
        ("no control", "It cannot be told"),
        ("unheard of", "The run gives no verdict"),
    ],
)
def test_the_answer_follows_the_verdict(made, word: str, begins: str):
    made.scores["verdict"]["word"] = word

    assert worth(read_run(made.write())).answer.startswith(begins)


def test_a_given_teacher_costs_no_training(made):
    made.model("teacher")["runs"][0].update(given=True, epochs=0, seconds=0)

    assert "Training the student took 12 s" in said(made)
    assert "The teacher was given: its training is not counted." in said(made)
    assert worth(read_run(made.directory)).cost == pytest.approx(1.2)


@pytest.mark.parametrize(("seconds", "how"), [(20.1, "is counted all the same"), (0, "is not")])
def test_a_reused_teacher_is_said_to_be_one(made, seconds: float, how: str):
    made.model("teacher")["runs"][0].update(reused=True, seconds=seconds)

    assert f"reused from an earlier run: its training {how}" in said(made)


def test_an_assistant_between_teacher_and_student_is_counted(made):
    run = {**made.model("teacher")["runs"][0], "seconds": 5.0}
    assistant = {**made.model("teacher"), "role": "assistant", "model": "resnet14", "runs": [run]}
    made.scores["models"].insert(1, assistant)

    assert worth(read_run(made.write())).cost == pytest.approx((20.1 + 5.0 + 12.0) / 10.0)


def test_a_run_without_a_control_names_no_ratio_of_times(made):
    made.scores["models"] = [made.model("teacher"), made.model("student")]
    made.scores["verdict"] |= {"word": "no control", "gain": None, "low": None, "high": None}

    assert worth(read_run(made.write())).cost is None
    assert said(made).endswith("Training teacher and student took 32 s.")


def test_a_run_without_a_teacher_compares_with_the_control_alone(made):
    made.scores["models"] = [made.model("control"), made.model("student")]

    found = worth(read_run(made.write()))

    assert (found.kept, found.smaller) == (None, None)
    assert found.cost == pytest.approx(1.2)
    assert found.sentences == (
        "Training the student took 12 s, the control 10 s (1.2\u00d7 the time).",
    )


def test_an_unfinished_run_is_not_judged(made):
    made.scores["finished"] = False

    assert worth(read_run(made.write())).answer == "Not finished: this cannot be answered yet."


def test_a_cached_teacher_is_told_and_its_cache_counted(made):
    made.scores["teacher_served"] = {
        "cached": True,
        "why": "teacher: cached once, 8 views, 1.04 MB (about 4 s instead of 5 s live)",
        "views": 8,
        "bytes": 1_040_000,
        "seconds": 6.0,
        "students": 3,
    }
    found = worth(read_run(made.write()))
    assert found.cost == pytest.approx((20.1 + 6.0 / 3 + 12.0) / 10.0)
    assert found.sentences[-1].startswith("Teacher: cached once, 8 views")
    assert found.sentences[-1].endswith("Caching it took 6.0 s, shared by all students.")
