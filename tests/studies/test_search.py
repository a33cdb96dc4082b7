"""A search for a student: budget, one teacher, no test set, the same trials after a kill."""

import json
import sys
from pathlib import Path

import pytest
import yaml
from safetensors.torch import load_file

from stillhouse.errors import MissingExtra, NonFiniteLoss, RecipeError, RunError
from stillhouse.recipes import load_recipe
from stillhouse.runs.job.data import JobData
from stillhouse.runs.job.watcher import SilentWatcher
from stillhouse.students import space
from stillhouse.students.space import Budget
from stillhouse.studies import search as searching
from stillhouse.studies import trials
from stillhouse.studies.search import Search, best_first, run_search
from stillhouse.studies.trials import Candidate

VALUES = {
    "data": {"source": "digits", "limit": 128},
    "teacher": {"model": "convnet-8"},
    "student": "resnet8",
    "epochs": 8,
    "seeds": 2,
    "cache": "never",
}


@pytest.fixture(autouse=True)
def _small(monkeypatch) -> None:
    """Twelve networks, of which two are too large; time is what the number of weights says."""
    pytest.importorskip("optuna", reason="a search needs the extra 'search'")
    plain = space.Block((1, 3), (4, 16, 4), space.BLOCKS["plain"].name)
    monkeypatch.setattr(space, "BLOCKS", {"plain": plain})
    monkeypatch.setattr(searching, "latencies", lambda nets, *_, **__: [weights_of(nets[0]) / 1000])


def weights_of(net) -> int:
    return sum(p.numel() for p in net.parameters())


def asked(out: Path, trials: int, **more) -> Search:
    values = {**VALUES, **more.pop("values", {})}
    budget = more.pop("budget", Budget(parameters=6000))
    return Search(values, budget, trials, out, **more)


def told(found: list[Candidate]) -> list[tuple]:
    return [(one.model, one.outcome, one.validation) for one in found]


@pytest.fixture
def no_test(monkeypatch) -> None:
    def read(_data: JobData) -> None:
        raise AssertionError("a search never reads the test set")

    monkeypatch.setattr(JobData, "test", property(read))


@pytest.mark.usefixtures("no_test")
def test_the_best_student_under_a_budget(tmp_path: Path) -> None:
    out, heard = tmp_path / "search", []
    found = run_search(asked(out, 4), lambda one, _: heard.append(one))
    trained = [one for one in found if one.outcome == "trained"]
    assert len(trained) == 4
    assert all(one.parameters <= 6000 for one in trained)
    shares = [one.validation for one in trained]
    assert shares == sorted(shares, reverse=True)
    assert sorted(told(heard)) == sorted(told(found))
    for one in trained:
        stage = json.loads((out / f"trials/{one.model}/trainings/seed0/stage.json").read_text())
        assert stage["epochs"] == 2, "a quarter of the recipe's"
        assert stage["history"][-1]["validation"]["student"]["accuracy"] == one.validation
    (teacher,) = (tmp_path / "shared").iterdir()
    assert json.loads((teacher / "stage.json").read_text())["epochs"] == 8, "its whole training"

    text = (out / "best.yaml").read_text()
    assert text.startswith(
        f"# The best of 4 students by validation accuracy ({100 * shares[0]:.2f}"
    )
    assert yaml.safe_load(text) == {**VALUES, "student": trained[0].model}
    recipe = load_recipe(out / "best.yaml")
    assert (recipe.student.model, recipe.epochs, recipe.seeds) == (trained[0].model, 8, (0, 1))
    listed = json.loads((out / "search.json").read_text())["trials"]
    assert [one["model"] for one in listed] == [one.model for one in found]


def test_what_costs_too_much_is_refused_before_it_learns(tmp_path: Path) -> None:
    found = run_search(asked(tmp_path / "search", 6, budget=Budget(milliseconds=2.5), epochs=1))
    refused = [one for one in found if one.outcome == "refused"]
    assert refused
    assert {one.model for one in refused} >= {"convnet-16-32-64"}
    for one in refused:
        assert one.milliseconds > 2.5
        assert one.why == f"{one.milliseconds:.2f} ms of 2.5"
        assert not (tmp_path / "search/trials" / one.model).exists()
    assert all(one.milliseconds <= 2.5 for one in found if one.outcome == "trained")


class Killed(SilentWatcher):
    """Ends the process, as far as a search can tell, in the middle of a student."""

    def __init__(self, students: int) -> None:
        self.left, self.stage = students, ""

    def begin(self, stage: str, steps: int, done: int) -> None:
        self.left -= stage == "student"

    def step(self, images: int) -> None:
        if self.left == 0:
            raise KeyboardInterrupt


def test_a_killed_search_goes_on_with_the_same_trials(tmp_path: Path) -> None:
    often = {"checkpoint_seconds": 0.0}
    whole = run_search(asked(tmp_path / "whole/search", 4))
    out = tmp_path / "killed/search"
    for students in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            run_search(asked(out, 4, watcher=Killed(students), values=often))
    assert run_search(asked(out, 2, values=often))
    found = run_search(asked(out, 4))
    assert told(found) == told(whole)
    assert run_search(asked(out, 3)) == found, "fewer trials than there are: nothing to do"
    for one in found:
        if one.outcome == "trained":
            file = f"search/trials/{one.model}/trainings/seed0/student.safetensors"
            mine, theirs = (load_file(tmp_path / name / file) for name in ("killed", "whole"))
            assert all((mine[key] == value).all() for key, value in theirs.items())
    best = [(tmp_path / name / "search/best.yaml").read_text() for name in ("killed", "whole")]
    assert best[0] == best[1]


class MapOutput(SilentWatcher):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


def test_when_all_were_tried_it_ends(tmp_path: Path, monkeypatch) -> None:
    """Also where the sampler keeps asking for what it knows."""
    plain = space.Block((1, 2), (4, 8, 4), space.BLOCKS["plain"].name)
    monkeypatch.setattr(space, "BLOCKS", {"plain": plain})
    monkeypatch.setattr(trials, "PATIENCE", 2)
    said = MapOutput()
    found = run_search(asked(tmp_path / "search", 100, epochs=1, watcher=said))
    assert sorted(one.model for one in found) == [
        "convnet-4", "convnet-4-8", "convnet-8", "convnet-8-16"
    ]  # fmt: skip
    assert "every student that could be asked for was tried" in said.said


def test_a_student_that_diverges_is_one_of_the_trials(tmp_path: Path, monkeypatch) -> None:
    attempt = searching._Attempt._validation

    def fails(self, model: str) -> float:
        if self.first:
            self.first = False
            raise NonFiniteLoss("kd", 3, "nothing is kept")
        return attempt(self, model)

    monkeypatch.setattr(searching._Attempt, "first", True, raising=False)
    monkeypatch.setattr(searching._Attempt, "_validation", fails)
    found = run_search(asked(tmp_path / "search", 2))
    assert sorted(one.outcome for one in found if one.outcome != "refused") == [
        "diverged", "trained"
    ]  # fmt: skip
    assert next(one for one in found if one.outcome == "diverged").why.startswith("term 'kd'")


def test_a_short_training_has_the_whole_schedule_in_it(tmp_path: Path) -> None:
    steps = {"name": "multi_step", "milestones": [4, 6], "warmup": 1}
    run_search(asked(tmp_path / "search", 1, values={"schedule": steps}))
    (log,) = (tmp_path / "search").glob("trials/*/trainings/seed0/metrics.jsonl")
    rates = [json.loads(line)["lr"] for line in log.read_text().splitlines()]
    assert len(rates) == 2
    assert rates[-1] == pytest.approx(0.05 * 0.1**2), "both of its steps in a quarter of the epochs"


def test_an_int8_student_is_searched_as_one(tmp_path: Path) -> None:
    out = tmp_path / "search"
    values = {"student": {"model": "resnet8", "quantise": "int8"}}
    (best, *_) = run_search(asked(out, 1, values=values, epochs=1))
    assert yaml.safe_load((out / "best.yaml").read_text())["student"] == {
        "model": best.model, "quantise": "int8"
    }  # fmt: skip
    state = load_file(out / f"trials/{best.model}/trainings/seed0/student.safetensors")
    assert state["fc.input_range.seen"] > 0


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"data": {"source": "digits", "validation": 0}}, "no validation data"),
        ({"student": {"model": "resnet8", "weights": "a.pt"}}, "student.weights belongs to one"),
        ({"student": {"model": "resnet8", "head": "shared"}}, "student.head belongs to one"),
        ({"method": "kdd"}, "nearest: kd"),
    ],
)
def test_what_cannot_be_searched(values, said: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=said):
        run_search(asked(tmp_path / "search", 2, values=values))
    with pytest.raises(RecipeError, match="0 trials"):
        run_search(asked(tmp_path / "search", 0))


def test_a_directory_belongs_to_one_search(tmp_path: Path) -> None:
    out = tmp_path / "search"
    run_search(asked(out, 1, epochs=1))
    with pytest.raises(RunError, match=r"budget.parameters \(there: 6000, asked: 5000\)"):
        run_search(asked(out, 1, epochs=1, budget=Budget(parameters=5000)))
    with pytest.raises(RunError, match=r"epochs \(there: 1, asked: 2\)"):
        run_search(asked(out, 1))
    with pytest.raises(RunError, match="is no directory of a search"):
        run_search(asked(tmp_path, 1))


def test_a_damaged_file_is_named_and_nothing_is_tried(tmp_path: Path, read_only) -> None:
    out = tmp_path / "search"
    whole = run_search(asked(out, 2, epochs=1))
    for name in ("trials.json", "search.json", "best.yaml", "search.yaml"):
        before = (out / name).read_bytes()
        for at in (len(before) // 3, 2 * len(before) // 3):
            (out / name).write_bytes(before[:at] + bytes([before[at] ^ 1]) + before[at + 1 :])
            with pytest.raises(RunError, match=rf"{name} is damaged.*delete"):
                run_search(asked(out, 2 if name == "search.json" else 3, epochs=1))
        if name == "best.yaml":
            with pytest.raises(RecipeError, match="does not fit the checksum in its last line"):
                load_recipe(out / name)
        (out / name).write_bytes(before)
    read_only(tmp_path)
    assert run_search(asked(out, 2, epochs=1)) == whole, "what is finished is read without writing"


def test_of_equals_the_smaller_one_is_better() -> None:
    known = {
        name: Candidate(at, name, outcome, size, None, share)
        for at, (name, outcome, size, share) in enumerate(
            [("a", "trained", 9, 0.5), ("b", "refused", 99, None), ("c", "trained", 8, 0.5),
             ("d", "trained", 100, 0.6)]
        )
    }  # fmt: skip
    assert [one.model for one in best_first(known)] == ["d", "c", "a", "b"]


def test_without_optuna_it_says_what_to_install(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtra, match=r"pip install 'stillhouse\[search\]'"):
        run_search(asked(tmp_path / "search", 1))
