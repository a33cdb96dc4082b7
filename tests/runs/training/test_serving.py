"""A run's teacher: cached or live gives the same student, and the choice is explained."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny import tiny_net

import stillhouse as sh
from stillhouse.errors import CacheError, RecipeError
from stillhouse.runs.training.forecast import Times, forecast


class Said:
    """A watcher that remembers what it was told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def begin(self, stage: str, steps: int, done: int) -> None:
        self.lines.append(f"begin {stage}")

    def step(self, images: int) -> None: ...

    def epoch(self, record, metric) -> None: ...

    def overall(self, done: int, total: int) -> None: ...

    def say(self, text: str) -> None:
        self.lines.append(text)

    def warn(self, text: str) -> None:
        self.lines.append(text)

    def teacher(self) -> str:
        heads = ("teacher: cached", "teacher: live")
        return next(line for line in self.lines if line.startswith(heads))


def images(count: int) -> list[tuple[np.ndarray, int]]:
    made = np.random.default_rng(count)
    rows = [(made.integers(0, 60, (8, 8, 3)) + 60 * (i % 3), i % 3) for i in range(count)]
    return [(image.astype(np.uint8), label) for image, label in rows]


def distil(out: Path, data=None, shown: dict | None = None, **settings):
    said = Said()
    augment = {"augment": {"crop": 1, "flip": True}}
    outcome = sh.distill(
        data={"source": data or (images(90), images(30)), **augment, **(shown or {})},
        teacher=tiny_net(8, 3),
        student=lambda: tiny_net(4, 1),
        out=out,
        **{"epochs": 4, "batch": 16, "seeds": 2, "precision": "fp32", "control": False, **settings},
        watcher=said,
    )
    return outcome, said


def weights(out: Path) -> list[torch.Tensor]:
    files = sorted(out.glob("trainings/seed*/student.safetensors"))
    return [value for file in files for _, value in sorted(load_file(file).items())]


@pytest.mark.parametrize("method", ["kd", "th_kd"])
@pytest.mark.parametrize("views", ["auto", 2])
def test_cached_and_live_teachers_make_the_same_students(
    method: str, views, tmp_path: Path
) -> None:
    options = {"method": method, "shown": {"views": views}}
    outcome, said = distil(tmp_path / "cached", cache="always", **options)
    distil(tmp_path / "live", cache="never", **options)
    found = weights(tmp_path / "cached"), weights(tmp_path / "live")
    assert len(found[0]) == len(found[1]) > 0
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
    count = 4 if views == "auto" else 2
    assert said.teacher().startswith(f"teacher: cached once, {count} views")
    served = outcome.scores["teacher_served"]
    assert served["cached"]
    assert served["bytes"] == count * 81 * 3 * 4  # nine of ninety rows validate
    assert served["seconds"] > 0


def test_methods_seeds_and_runs_share_one_cache(tmp_path: Path) -> None:
    """Seven runs: two methods, two numbers of views; each view is cached once."""
    first = {"cache": "always", "shown": {"views": 2}}
    _, one = distil(tmp_path / "a", **first)
    _, two = distil(tmp_path / "b", **first, method="th_kd")
    assert "begin record teacher" in one.lines
    assert "begin record teacher" not in two.lines
    distil(tmp_path / "c", cache="always", shown={"views": 3})
    caches = list((tmp_path / "shared").glob("teacher-cache-*"))
    assert len(caches) == 1
    assert len(list(caches[0].glob("*/view-*"))) == 3


def test_a_bound_on_views_is_no_bound_for_teacher_and_control(tmp_path: Path) -> None:
    options = {"control": True, "seeds": 1}
    distil(tmp_path / "a", **options, shown={"views": 1})
    _, said = distil(tmp_path / "b", **options, shown={"views": "live"})
    assert any("control: finished before" in line for line in said.lines)
    assert not all(
        torch.equal(x, y)
        for x, y in zip(weights(tmp_path / "a"), weights(tmp_path / "b"), strict=True)
    )


def test_without_augmentation_one_view_is_all_there_is(tmp_path: Path) -> None:
    image, label = (np.stack(column) for column in zip(*images(120), strict=True))
    np.savez(tmp_path / "data.npz", x_train=image, y_train=label)
    options = {"data": str(tmp_path / "data.npz"), "shown": {"augment": "none"}}
    outcome, _ = distil(tmp_path / "cached", cache="always", **options)
    distil(tmp_path / "live", cache="never", **options)
    assert outcome.scores["teacher_served"]["views"] == 1
    assert all(
        torch.equal(x, y)
        for x, y in zip(weights(tmp_path / "cached"), weights(tmp_path / "live"), strict=True)
    )


def test_any_transform_is_cached_as_it_is_shown(tmp_path: Path) -> None:
    def shake(image) -> torch.Tensor:
        pixels = torch.as_tensor(np.array(image)).float().permute(2, 0, 1) / 255
        return pixels + 0.1 * np.random.rand() + 0.1 * torch.rand(1)

    shown = {"transform": shake, "eval_transform": shake, "augment": "none"}  # whose place it takes
    options: dict = {"shown": shown}
    distil(tmp_path / "cached", cache="always", **options)
    distil(tmp_path / "live", cache="never", **options)
    assert all(
        torch.equal(x, y)
        for x, y in zip(weights(tmp_path / "cached"), weights(tmp_path / "live"), strict=True)
    )


class Unseeded(list):
    """Images that no seed brings back."""

    made = np.random.default_rng()

    def __getitem__(self, row):
        image, label = super().__getitem__(row)
        return torch.as_tensor(image).permute(2, 0, 1) / 255 + float(self.made.random()), label


def test_images_that_no_seed_brings_back_are_never_cached(tmp_path: Path) -> None:
    data = (Unseeded(images(90)), Unseeded(images(30)))
    with pytest.raises(RecipeError, match="not the same when it is read twice"):
        distil(tmp_path / "a", data=data, cache="always")
    _, said = distil(tmp_path / "b", data=data)
    assert "differ each time they are read" in said.teacher()


def test_auto_counts_passes_before_it_times_anything(tmp_path: Path) -> None:
    _, one = distil(tmp_path / "a", seeds=1)
    assert "4 passes to train, 4 to record: nothing to save" in one.teacher()
    _, live = distil(tmp_path / "b", shown={"views": "live"})
    assert "a new view in each epoch" in live.teacher()
    distil(tmp_path / "c", cache="always")
    _, there = distil(tmp_path / "d", seeds=1)
    assert "live" in there.teacher() or "cached once" in there.teacher()
    assert "nothing to save" not in there.teacher()  # all views are there already


def test_auto_weighs_teacher_and_student() -> None:
    dear, cheap = Times(step=1.0, teacher=0.5), Times(step=1.0, teacher=1e-5)
    counts = {"steps": 100, "live_passes": 90, "passes_left": 8.0, "batch_bytes": 25_600}
    assert forecast(dear, **counts).pays
    assert not forecast(cheap, **counts).pays
    assert forecast(dear, **counts).live == pytest.approx(9000)
    assert forecast(dear, **counts).cached == pytest.approx(4500 + 400, rel=0.01)
    assert not forecast(dear, **{**counts, "passes_left": 90.0}).pays


def test_a_finished_run_keeps_what_it_said_of_its_teacher(tmp_path: Path) -> None:
    first, _ = distil(tmp_path / "a", cache="always")
    again, said = distil(tmp_path / "a", cache="always")
    assert again.scores["teacher_served"] == first.scores["teacher_served"]
    assert "begin record teacher" not in said.lines


def test_half_precision_is_measured_against_float32(tmp_path: Path) -> None:
    distil(tmp_path / "exact", cache="always")
    outcome, _ = distil(tmp_path / "half", cache={"dtype": "float16"})
    assert outcome.scores["teacher_served"]["bytes"] == 4 * 81 * 3 * 2
    apart = [
        (x.float() - y.float()).abs().max().item()
        for x, y in zip(weights(tmp_path / "exact"), weights(tmp_path / "half"), strict=True)
    ]
    assert 0 < max(apart) < 0.05


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        ({"cache": {"use": "auto", "dtype": "float16"}}, RecipeError, "write use: always"),
        ({"cache": "sometimes"}, RecipeError, "'cache.use' is 'sometimes'"),
        ({"cache": {"dtype": {"layer9": "float16"}}}, RecipeError, "does not read 'layer9'"),
        ({"cache": {"top": 3}}, RecipeError, "top 3 of 3 scores saves nothing"),
        (
            {"cache": "always", "shown": {"views": "live"}},
            RecipeError,
            "unbounded views cannot be cached",
        ),
    ],
)
def test_what_cannot_be_cached_is_refused(settings, error, said: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=said):
        distil(tmp_path / "a", **settings)
    assert not list(tmp_path.glob("a/student/*/student.safetensors"))


def test_a_short_disk_is_found_at_check_time(tmp_path: Path, monkeypatch) -> None:
    import shutil

    free = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free)
    with pytest.raises(CacheError, match="has room for 0 B"):
        distil(tmp_path / "a", cache="always")
    assert not (tmp_path / "a").exists()
    _, said = distil(tmp_path / "b")
    assert "more than half of what the disk has left" in said.teacher()


def test_a_directory_of_ones_own_is_used_and_guarded(tmp_path: Path) -> None:
    there = {"use": "always", "directory": tmp_path / "mine"}
    distil(tmp_path / "a", cache=there)
    assert json.loads((tmp_path / "mine" / "teacher-cache.json").read_text())["view_seed"] == 0
    with pytest.raises(CacheError, match="cached with view_seed 0, this run has 1"):
        distil(tmp_path / "b", cache=there, shown={"view_seed": 1})
