"""A teacher with its own normalisation, resolution and channels."""

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

import stillhouse as sh
from stillhouse.bridges import InputAdapter
from stillhouse.errors import RecipeError
from stillhouse.recipes import make_recipe


def test_the_adapter_is_undo_resize_redo() -> None:
    image = torch.rand(2, 3, 8, 8)
    mean, std, to_mean, to_std = (0.1, 0.2, 0.3), (0.5, 0.6, 0.7), (0.4, 0.5, 0.6), (0.2, 0.3, 0.4)

    def normalised(x, m, s):
        return torch.stack([(x[:, c] - m[c]) / s[c] for c in range(3)], 1)

    adapter = InputAdapter(mean, std, to_mean=to_mean, to_std=to_std, size=12)
    truth = F.interpolate(image, (12, 12), mode="bilinear", antialias=True)
    given = adapter(normalised(image, mean, std))
    torch.testing.assert_close(given, normalised(truth, to_mean, to_std))
    grey = InputAdapter(mean, std, to_mean=(0.0,), to_std=(1.0,), channels=1)
    torch.testing.assert_close(grey(normalised(image, mean, std)), image.mean(1, keepdim=True))


def test_a_teacher_reads_its_own_form_of_the_image(tmp_path: Path) -> None:
    seen = []

    class Picky(torch.nn.Module):
        """Wants three channels of 12 x 12."""

        def __init__(self) -> None:
            super().__init__()
            self.fc = torch.nn.Linear(3 * 12 * 12, 10)

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            seen.append(tuple(image.shape[1:]))
            return self.fc(image.flatten(1))

    outcome = sh.distill(
        data="digits", teacher={"model": Picky, "input": {"size": 12, "channels": 3}},
        student="convnet-4-8", epochs=1, batch=256, seeds=1,
        out=tmp_path / "run",
    )  # fmt: skip
    assert set(seen) == {(3, 12, 12)}
    recipe = (tmp_path / "run/resolved.yaml").read_text()
    assert "size: 12" in recipe
    written = json.loads((tmp_path / "run/scores.json").read_text())
    assert {key: value for key, value in written.items() if key != "checksum"} == outcome.scores


def test_mean_and_std_come_together() -> None:
    with pytest.raises(RecipeError, match="mean and std together"):
        make_recipe(
            {"data": "digits", "student": "s", "teacher": {"model": "t", "input": {"mean": [0.5]}}}
        )


def test_black_is_laid_around_an_image_before_it_is_resized_to_any_height_and_width() -> None:
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.3, 0.4)
    pixels = torch.rand(2, 3, 6, 5, generator=torch.Generator().manual_seed(0))
    shown = (pixels - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    to = {"to_mean": (0.0,) * 3, "to_std": (1.0,) * 3}
    adapter = InputAdapter(mean, std, pad=(2, 1, 3, -2), **to)
    wanted = torch.zeros(2, 3, 5, 10)
    wanted[:, :, 1:, 2:7] = pixels[:, :, :4]
    torch.testing.assert_close(adapter(shown), wanted)
    smaller = InputAdapter(mean, std, pad=(2, 1, 3, -2), size=(4, 7), **to)
    resized = torch.nn.functional.interpolate(wanted, (4, 7), mode="bilinear", antialias=True)
    torch.testing.assert_close(smaller(shown), resized)
