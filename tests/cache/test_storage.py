"""What is stored is what was computed, or says by how much it is not."""

import math

import pytest
import torch

from stillhouse.cache import Storage
from stillhouse.errors import CacheError


def through(storage: Storage, value: torch.Tensor) -> torch.Tensor:
    return storage.decode(storage.encode(value), value.shape[1:])


def test_float32_keeps_every_bit() -> None:
    value = torch.randn(5, 3, 2, 2)
    assert torch.equal(through(Storage(), value), value)


@pytest.mark.parametrize(("dtype", "digits"), [("float16", 2**-11), ("bfloat16", 2**-8)])
def test_half_precision_rounds_to_its_digits(dtype, digits: float) -> None:
    value = torch.randn(50, 20)
    error = (through(Storage(dtype), value) - value).abs() / value.abs()
    assert 0 < error.max() <= digits


def test_top_keeps_the_largest_and_the_mass_of_the_rest() -> None:
    value = 3 * torch.randn(8, 30, dtype=torch.float64).float()
    served = through(Storage(top=4), value)
    for row in range(8):
        scores = value[row].tolist()
        kept = sorted(range(30), key=lambda c: -scores[c])[:4]
        whole = sum(math.exp(s) for s in scores)
        rest = sum(math.exp(s) for c, s in enumerate(scores) if c not in kept) / whole
        soft = torch.softmax(served[row].double(), 0)
        for c in kept:
            assert served[row, c].item() == scores[c]  # the score itself, not only its probability
            assert soft[c].item() == pytest.approx(math.exp(scores[c]) / whole, rel=1e-5)
        left = [soft[c].item() for c in range(30) if c not in kept]
        assert sum(left) == pytest.approx(rest, rel=1e-5)
        assert max(left) == pytest.approx(min(left))


def test_size_is_that_of_the_tensors() -> None:
    for storage in (Storage(), Storage("float16"), Storage("bfloat16", top=3)):
        stored = storage.encode(torch.randn(7, 20))
        size = sum(t.numel() * t.element_size() for t in stored.values())
        assert size == 7 * storage.bytes_per_sample([20])


def test_what_cannot_be_stored_is_refused() -> None:
    with pytest.raises(CacheError, match=r"1e\+05 do not fit float16; store bfloat16 or float32"):
        Storage("float16").encode(torch.tensor([[1e5]]))
    with pytest.raises(CacheError, match="nan or inf; is the model in order"):
        Storage().encode(torch.tensor([[float("nan")]]))
    with pytest.raises(CacheError, match="no storage 'float61'; nearest: float16"):
        Storage("float61")
    with pytest.raises(CacheError, match="at least one"):
        Storage(top=0)
    assert "saves nothing" in (Storage(top=3).problem([3]) or "")
    assert "for scores" in (Storage(top=3).problem([8, 4, 4]) or "")
