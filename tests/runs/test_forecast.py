"""What a run and a study will take, from rates that are given in place of timed steps."""

from pathlib import Path
from typing import Any

import pytest

from stillhouse.recipes import make_recipe, make_study
from stillhouse.runs import forecasts
from stillhouse.runs.estimate import Estimate, Part
from stillhouse.runs.forecasts import forecast_of
from stillhouse.runs.run import prepare
from stillhouse.runs.timing import Clock, Rate, estimate
from stillhouse.runs.training.forecast import Times
from stillhouse.runs.training.training import student_directory
from stillhouse.studies.study import prepare_study

SMALL = {
    "data": {"source": "digits", "limit": 200, "augment": "none"},
    "teacher": {"model": "convnet-4-8", "epochs": 10},
    "student": "convnet-4",
    "batch": 50,
    "epochs": 100,
    "seeds": 3,
    "precision": "fp32",
}
STEPS = 200 // 50
SECONDS = {"teacher": 3.0, "control": 1.0, "student": 2.0}
SCORING = 0.5


def rates(stage: Any, job: Any, train: Any, settings: Any) -> Rate:
    """The teacher is the wide network, the control has one term, and the student two."""
    wide = any(
        "8" in str(getattr(m, "out_channels", "")) for m in stage.role("student").module.modules()
    )
    several = sum(len(update.terms) for update in stage.updates) > 1
    return Rate(SECONDS["teacher" if wide else "student" if several else "control"], SCORING)


def cheap(*given: Any) -> Times:
    return Times(step=2.0, teacher=1.5, batch=0.25)


CLOCK = Clock(rates, cheap)


def test_each_training_is_counted_by_its_own_steps_and_epochs(tmp_path: Path) -> None:
    job = prepare(make_recipe({**SMALL, "cache": "never"}), tmp_path / "run")
    found = estimate(job, clock=CLOCK)
    teacher, control, student = (STEPS * each + SCORING for each in SECONDS.values())
    assert found.seconds == pytest.approx(10 * teacher + 3 * 100 * (control + student))
    assert [part.role for part in found.parts] == ["teacher", *3 * ["control"], *3 * ["student"]]
    # The teacher has epochs of its own, which a shorter trial leaves as they are.
    assert found.with_epochs(2).seconds == pytest.approx(10 * teacher + 3 * 2 * (control + student))
    sizes = {part.role: part.weights for part in found.parts}
    assert found.disk == 2 * (sizes["teacher"] + 6 * sizes["student"]) + 4 * sizes[
        "student"
    ] + 3 * max(sizes.values())
    done = student_directory(job, 0)
    done.mkdir(parents=True)
    (done / "stage.json").touch()  # as of a training that is finished
    left = estimate(job, clock=CLOCK)
    assert found.seconds - left.seconds == pytest.approx(100 * student)


def test_a_cached_teacher_is_recorded_once_and_spared_after_that(tmp_path: Path) -> None:
    job = prepare(make_recipe({**SMALL, "control": False}), tmp_path / "run")
    recorded, *students = [p for p in estimate(job, clock=CLOCK).parts if p.role != "teacher"]
    assert (recorded.role, recorded.epochs, recorded.step) == ("teacher cache", 1, 1.75)
    assert recorded.size > 0
    # What is left of a step of 2.0 without the 1.5 of the teacher, and a look into the cache.
    assert [part.step for part in students] == pytest.approx([0.5] * 3, abs=2e-3)
    assert recorded.with_epochs(5).epochs == 1  # nothing varies, so one view is all


def test_a_study_counts_what_its_arms_share_once(tmp_path: Path) -> None:
    methods = {"kd": "kd", "warm": {"name": "kd", "temperature": 8}, "at": "at"}
    arms = {name: {"method": method} for name, method in methods.items()}
    values = {**SMALL, "cache": "never", "arms": arms}
    prepared = prepare_study(make_study(values), tmp_path / "study")
    said = forecast_of(prepared.jobs.values(), clock=CLOCK)
    teacher, control, student = (STEPS * each + SCORING for each in SECONDS.values())
    seconds = 10 * teacher + 300 * control + 900 * student
    assert said is not None
    assert f"about {seconds / 3600:.2g} h on this machine" in said
    assert "(1 teacher 2 min, 3 controls 22 min, 9 students 2.1 h)" in said
    shorter = 10 * teacher + 10 * 3 * control + 10 * 9 * student
    assert said.endswith(f"; --set epochs=10: about {round(shorter / 60)} min")


def test_a_trial_is_only_of_epochs_that_the_schedule_allows(tmp_path: Path) -> None:
    late = {**SMALL, "cache": "never", "schedule": {"name": "multi_step", "milestones": [15]}}
    job = prepare(make_recipe({**late, "teacher": "convnet-4-8", "epochs": 1000}), tmp_path / "run")
    said = forecast_of([job], clock=CLOCK)
    assert said is not None
    assert "; --set epochs=20: about " in said  # 10 would end before the rate falls


def test_few_steps_are_not_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = prepare(make_recipe({**SMALL, "epochs": 20, "seeds": 1}), tmp_path / "run")
    assert forecasts.steps_of(job) == STEPS * (2 * 20 + 10)
    assert forecast_of([job]) is None
    monkeypatch.setattr(forecasts, "FEW", 10)
    said = forecast_of([job])  # with the clock of this machine
    assert said is not None
    assert said.startswith("forecast: about ")


def test_words_of_a_long_run_and_of_a_finished_one() -> None:
    part = Part("student", "a", epochs=100, steps=1000, step=0.1, weights=4_000_000)
    made = Estimate((part,), students=4_000_000, epochs=100, without=("making the transfer set",))
    assert made.trials() == [10, 5, 2, 1]
    assert made.told(5) == (
        "forecast: about 2.8 h on this machine (1 student), 36 MB of disk; not counted: making the "
        "transfer set; --set epochs=5: about 8 min"
    )
    assert Estimate(()).told() == "forecast: all is trained already"
    slow = Estimate((Part("student", "a", epochs=12, steps=1000, step=5.0),), epochs=12)
    assert slow.trials() == [1, 2]  # none is short: the shortest first
