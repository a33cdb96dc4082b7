"""What stands against a teacher cache is found at the check; what is there is not asked again."""

import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny import tiny_net
from torch import nn

import stillhouse as sh
from stillhouse.errors import CacheError, RecipeError, RunError
from stillhouse.recipes import make_recipe
from stillhouse.records.checked import write_checked
from stillhouse.runs.job.watcher import SilentWatcher
from stillhouse.runs.preflight import check
from stillhouse.runs.run import prepare
from stillhouse.runs.training import serving_plan
from stillhouse.runs.training.forecast import Times, forecast
from stillhouse.runs.training.serving_plan import Planner

RECIPE = {
    "data": {"source": "digits", "limit": 200},
    "student": "mlp-8",
    "teacher": "mlp-16",
    "seeds": 2,
    "epochs": 2,
    "precision": "fp32",
}


def images(count: int) -> list[tuple[np.ndarray, int]]:
    made = np.random.default_rng(count)
    rows = [(made.integers(0, 60, (8, 8, 3)) + 60 * (i % 3), i % 3) for i in range(count)]
    return [(image.astype(np.uint8), label) for image, label in rows]


def distil(out: Path, teacher: nn.Module | None = None, shown: dict | None = None, **settings):
    return sh.distill(
        data={"source": (images(60), images(30)), **(shown or {})},
        teacher=teacher or tiny_net(8, 3),
        student=lambda: tiny_net(4, 1),
        out=out,
        **{"epochs": 2, "batch": 16, "seeds": 2, "precision": "fp32", "control": False, **settings},
    ).scores["teacher_served"]


def weights(out: Path) -> list[torch.Tensor]:
    files = sorted(out.glob("trainings/seed*/student.safetensors"))
    return [value for file in files for _, value in sorted(load_file(file).items())]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"cache": {"top": 10}}, "top 10 of 10 scores saves nothing"),
        ({"cache": {"top": 3}, "method": "rkd"}, "the method reads only embedding"),
        ({"cache": {"dtype": {"layer9": "float16"}}}, "does not read 'layer9'"),
    ],
)
def test_a_storage_that_cannot_be_is_found_before_a_teacher_is_trained(
    settings, said: str, tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match=said):
        prepare(make_recipe({**RECIPE, **settings}), tmp_path / "run")


@pytest.mark.parametrize("use", ["always", "auto"])
def test_a_directory_that_is_taken_is_found_before_a_teacher_is_trained(
    use: str, tmp_path: Path
) -> None:
    def asked(directory: Path) -> None:
        cache = {"use": use, "directory": str(directory)}
        prepare(make_recipe({**RECIPE, "cache": cache}), tmp_path / "run")

    (tmp_path / "a file").write_text("")
    with pytest.raises(CacheError, match="a file is a file"):
        asked(tmp_path / "a file")
    for own in ("run", "shared"):  # the run's lock would be the teacher cache's
        with pytest.raises(RecipeError, match="holds the run's own files"):
            asked(tmp_path / own)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("")
    with pytest.raises(CacheError, match="holds other files"):
        asked(tmp_path / "full")
    write_checked(tmp_path / "full" / "teacher-cache.json", {"data": "another", "teacher": "any"})
    with pytest.raises(CacheError, match="was cached with"):
        asked(tmp_path / "full")


def test_what_is_cached_needs_no_room(tmp_path: Path, monkeypatch) -> None:
    distil(tmp_path / "a", cache="always")
    full = shutil.disk_usage(tmp_path)._replace(free=100)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    assert distil(tmp_path / "b", cache="always")["cached"]
    assert "of what the disk has left" not in distil(tmp_path / "c")["why"]
    with pytest.raises(CacheError, match="has room for 0 B"):
        distil(tmp_path / "d", cache="always", epochs=3)


def test_what_is_cached_already_is_read_without_timing(tmp_path: Path, monkeypatch) -> None:
    distil(tmp_path / "a", cache="always")
    monkeypatch.setattr(serving_plan, "time_steps", None)
    found = distil(tmp_path / "b", method={"name": "kd", "weight": 3.0})
    assert found["cached"]
    assert "(all of it is there)" in found["why"]


def test_a_teacher_that_may_be_cached_is_not_refused_for_room(tmp_path: Path, monkeypatch) -> None:
    """The teacher is trained by the run, so what is there of it is only known later."""
    job = prepare(make_recipe({**RECIPE, "cache": "always"}), tmp_path / "run")
    full = shutil.disk_usage(tmp_path)._replace(free=100)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    with pytest.raises(CacheError, match="has room for 0 B"):
        check(job)
    (job.shared / "teacher-cache-mlp-16-0123456789abcdef").mkdir(parents=True)
    check(job)


def test_a_teacher_of_other_layers_has_its_own_cache(tmp_path: Path) -> None:
    """Sequential with ReLU and with Tanh: one name and the same weights."""

    def net(activation: nn.Module) -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(192, 8), activation, nn.Linear(8, 3))

    distil(tmp_path / "a", net(nn.ReLU()), cache="always")
    distil(tmp_path / "b", net(nn.Tanh()), cache="always")
    distil(tmp_path / "live", net(nn.Tanh()), cache="never")
    assert len(list((tmp_path / "shared").glob("teacher-cache-*"))) == 2
    pairs = zip(weights(tmp_path / "b"), weights(tmp_path / "live"), strict=True)
    assert all(torch.equal(x, y) for x, y in pairs)


class Noisy(nn.Module):
    """Dropout that is never off."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(192, 3)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.fc(nn.functional.dropout(image.flatten(1), 0.5, training=True))


def test_a_teacher_that_draws_at_random_stays_live(tmp_path: Path, monkeypatch) -> None:
    with pytest.raises(RecipeError, match="changes with the rest of its batch, or from run to run"):
        distil(tmp_path / "a", Noisy(), cache="always")
    monkeypatch.setattr(
        Planner, "_forecast", lambda *_: forecast(Times(1.0, 0.9), steps=1, live_passes=9,
                                                  passes_left=1, batch_bytes=1)
    )  # fmt: skip
    assert "changes with the rest" in distil(tmp_path / "b", Noisy())["why"]
    assert distil(tmp_path / "c")["cached"]


UNSEEDED = np.random.default_rng()


def unseeded(image) -> torch.Tensor:
    return torch.as_tensor(np.array(image)).float().permute(2, 0, 1) + float(UNSEEDED.random())


def test_loader_processes_hide_no_unseeded_images(tmp_path: Path) -> None:
    """Two forks of one generator draw the same, so the two readings seemed to agree."""
    with pytest.raises(RecipeError, match="not the same when it is read twice"):
        distil(
            tmp_path / "a", cache="always",
            shown={"transform": unseeded, "eval_transform": unseeded, "workers": 1},
        )  # fmt: skip


def test_images_that_take_longer_than_the_teacher_are_no_saving() -> None:
    """They are made for the student in any case; once they were taken for the teacher's time."""
    counts = {"steps": 100, "live_passes": 9, "passes_left": 3, "batch_bytes": 25_600}
    assert not forecast(Times(step=0.106, teacher=0.001, batch=0.1), **counts).pays
    found = forecast(Times(step=0.3, teacher=0.1, batch=0.1), **counts)
    assert found.cached == pytest.approx(900 * 0.2 + 300 * 0.2, rel=0.01)
    # with loader processes a batch is made meanwhile, but not faster than it can be made
    assert forecast(Times(0.2, 0.1, 0.19), **{**counts, "passes_left": 0}).cached > 900 * 0.19


def test_images_are_timed_apart_from_the_teacher(tmp_path: Path, monkeypatch) -> None:
    """By a clock that only goes when an image is made."""
    clock = [0.0]

    def slow(image) -> torch.Tensor:
        clock[0] += 1.0
        return torch.as_tensor(np.array(image)).float().permute(2, 0, 1) / 255

    seen = []
    asked = serving_plan.time_steps

    def timed(*given) -> Times:
        with monkeypatch.context() as stopped:
            stopped.setattr(time, "perf_counter", lambda: clock[0])
            seen.append(asked(*given))
        return seen[0]

    monkeypatch.setattr(serving_plan, "time_steps", timed)
    distil(tmp_path / "a", shown={"transform": slow, "eval_transform": slow})
    assert seen == [Times(step=16.0, teacher=0.0, batch=16.0)]


def test_a_lossy_cache_cannot_be_dropped_on_resume(tmp_path: Path) -> None:
    def run(use: str) -> None:
        distil(tmp_path / "a", cache={"use": use, "dtype": "float16"}, seeds=1)

    run("always")
    with pytest.raises(RunError, match=r"differs in cache\.use \(there: always, asked: never\)"):
        run("never")


class Stopped(Exception):  # noqa: N818
    pass


class StopIn(SilentWatcher):
    """A run that is stopped after so many steps of a student."""

    def __init__(self, steps: int) -> None:
        self.left, self.on = steps, False

    def begin(self, stage: str, steps: int, done: int) -> None:
        self.on = stage == "student"

    def step(self, images: int) -> None:
        self.left -= self.on
        if self.left < 0:
            raise Stopped


def test_a_student_goes_on_with_the_other_kind_of_teacher(tmp_path: Path) -> None:
    options = {"checkpoint_seconds": 0, "epochs": 4, "method": "th_kd"}
    distil(tmp_path / "live", cache="never", **options)
    for use, steps in (("never", 5), ("always", 6), ("never", 7)):
        with pytest.raises(Stopped):
            distil(tmp_path / "mixed", cache=use, watcher=StopIn(steps), **options)
    distil(tmp_path / "mixed", cache="always", **options)
    pairs = zip(weights(tmp_path / "mixed"), weights(tmp_path / "live"), strict=True)
    assert all(torch.equal(x, y) for x, y in pairs)


@pytest.mark.parametrize("text", ["{", '{"a": 1}', "[]"])
def test_a_damaged_note_of_how_the_teacher_served_is_said(text: str, tmp_path: Path) -> None:
    distil(tmp_path / "a", cache="always")
    (tmp_path / "a" / "teacher.json").write_text(text)
    with pytest.raises(RunError, match=r"teacher\.json is damaged"):
        distil(tmp_path / "a", cache="always")
