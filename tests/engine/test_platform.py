"""Device and precision are chosen, or refused with a reason."""

import pytest
import torch
from torch import nn

from stillhouse.engine import platform as rooms
from stillhouse.engine.platform import CHECK_EVERY, Platform, choose_precision, open_platform
from stillhouse.errors import RecipeError

CPU = torch.device("cpu")


def test_auto_is_bf16_only_where_it_is_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    for fast, wanted in ((True, "bf16"), (False, "fp32")):
        monkeypatch.setattr(rooms, "bf16_is_fast", lambda device, fast=fast: fast)
        assert choose_precision("auto", CPU) == wanted
        assert choose_precision("fp32", CPU) == "fp32"
        assert choose_precision("bf16", CPU) == "bf16", "what is asked for is done"


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(RecipeError, match="there is no 'bf61'; nearest: bf16"):
        open_platform(device="cpu", precision="bf61")


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "cpu:x"])
def test_a_device_that_is_not_here_is_refused(device: str) -> None:
    with pytest.raises(RecipeError, match=f"device: '{device}' cannot be used here"):
        open_platform(device=device)


def test_one_process_reduces_and_wraps_nothing() -> None:
    platform = open_platform(device="cpu", precision="fp32")
    assert (platform.rank, platform.world, platform.main) == (0, 1, True)
    value, layer = torch.ones(2), nn.Linear(1, 1)
    assert platform.sum(value) is value
    assert platform.wrap(layer, find_unused=True) is layer
    platform.wait()


@pytest.mark.parametrize(
    ("precision", "dtype"), [("fp32", None), ("bf16", torch.bfloat16), ("fp16", torch.float16)]
)
def test_autocast_follows_the_precision(precision: str, dtype: torch.dtype | None) -> None:
    assert open_platform(device="cpu", precision=precision).autocast_dtype is dtype


def test_losses_are_looked_at_rarely_where_looking_waits() -> None:
    assert Platform(None, CPU, "fp32").check_every == 1
    assert Platform(None, torch.device("cuda"), "fp32").check_every == CHECK_EVERY


def test_the_precision_of_the_launcher_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    platform = open_platform(device="cpu", precision="fp32")
    assert platform.autocast_dtype is None
