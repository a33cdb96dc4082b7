"""The released form of Zero-Shot KD: stretched, chained, and with beta 1 for both halves."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny import GREY
from torch import nn

from stillhouse.data.sources.synthesis import ROWS, present, read_file
from stillhouse.engine.platform import Platform
from stillhouse.errors import RecipeError
from stillhouse.synthesis import make_maker, synthesize
from stillhouse.synthesis.inputs import uniform_noise
from stillhouse.synthesis.targets import one_hot_targets
from stillhouse.synthesis.teacher import frozen_teacher
from stillhouse.synthesis.zero_shot import REFERENCE, stretch


def test_stretching_equals_the_naive_loop(net: nn.Module, platform: Platform) -> None:
    images = torch.randn(3 * REFERENCE * 2, 1, 2, 2)
    targets = one_hot_targets(3, len(images))
    wanted = images.clone()
    for cell in range(3):
        rows = (targets.cell == cell).nonzero().squeeze(1)
        for group in rows.split(REFERENCE):
            low, high = images[group].min(), images[group].max()
            wanted[group] = (images[group] - low) / (high - low)
    with frozen_teacher(net, GREY, platform) as subject:
        stretch(subject, images, targets)
    assert torch.allclose(images, wanted, atol=1e-6)


def test_the_released_form_goes_on_from_the_batch_before(net: nn.Module, tmp_path: Path) -> None:
    method = {"name": "zero_shot_released", "steps": 3, "batch": 8}
    synthesize(net, method=method, count=16, image_shape=GREY, out=tmp_path, device="cpu")
    first, second = (read_file(path)["image"] for path in present(tmp_path, ROWS).values())
    assert (float(first.min()), float(first.max())) == (0.0, 1.0), "stretched to [0, 1]"
    near = (first - second).abs().mean()
    fresh = (first - uniform_noise(0, torch.arange(8, 16), GREY)).abs().mean()
    assert near < fresh / 5
    with pytest.raises(RecipeError, match="no multiple of 8"):
        synthesize(net, method={**method, "batch": 12}, count=16, image_shape=GREY,
                   out=tmp_path / "odd", device="cpu")  # fmt: skip


def test_both_halves_of_the_released_form_have_beta_1() -> None:
    maker = make_maker("zero_shot_released")
    assert maker.settings["betas"] == [1.0, 1.0]
    assert maker.settings["lr"] == 0.001
    assert make_maker("zero_shot").settings["betas"] == [1.0, 0.1]


def test_a_compiled_step_is_asked_for_by_name() -> None:
    maker = make_maker({"name": "zero_shot", "compile": True})
    assert replace(maker, compile=False).settings["compile"] is True  # part of the identity
