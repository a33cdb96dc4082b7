import hashlib

import pytest
import torch
from torch import nn

from stillhouse.errors import WeightsError
from stillhouse.models import build_model
from stillhouse.records.fingerprint import weights_fingerprint


def test_digest_is_the_documented_one():
    state = {
        "b": torch.tensor([1, 2], dtype=torch.int64),
        "a": torch.tensor([[0.5, 1, 2], [3, 4, 5]]),
    }
    text = (
        b"'a' torch.float32 (2, 3)\n" + state["a"].numpy().tobytes()
        + b"'b' torch.int64 (2,)\n" + state["b"].numpy().tobytes()
    )  # fmt: skip
    assert weights_fingerprint(state) == hashlib.sha256(text).hexdigest()


def test_module_and_state_in_any_order_and_layout_are_the_same():
    network = build_model("resnet8w4", classes=3)
    expected = weights_fingerprint(network)
    assert weights_fingerprint(network.state_dict()) == expected
    assert weights_fingerprint(dict(reversed(network.state_dict().items()))) == expected
    network.to(memory_format=torch.channels_last)
    assert not network.conv1.weight.is_contiguous()
    assert weights_fingerprint(network) == expected
    assert weights_fingerprint({"w": torch.arange(6).reshape(2, 3)}) == weights_fingerprint(
        {"w": torch.arange(6).reshape(2, 3).T.contiguous().T}
    )


@pytest.mark.parametrize("key", ["conv1.weight", "bn1.running_mean", "bn1.num_batches_tracked"])
def test_any_value_counts_parameter_or_buffer(key):
    network = build_model("resnet8w4", classes=3)
    before = weights_fingerprint(network)
    network.state_dict()[key].view(-1)[-1:].add_(1)
    assert weights_fingerprint(network) != before


def test_name_dtype_and_shape_count():
    states = [
        {"w": torch.zeros(4)},
        {"v": torch.zeros(4)},
        {"w": torch.zeros(2, 2)},
        {"w": torch.zeros(4, dtype=torch.int32)},
        {"w": torch.zeros(0)},
        {"w": torch.zeros(0, 3)},
        {},
    ]
    assert len({weights_fingerprint(state) for state in states}) == len(states)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.bool, torch.complex64, torch.float64])
def test_every_dtype_has_bytes(dtype):
    one, other = torch.zeros(3, dtype=dtype), torch.ones(3, dtype=dtype)
    assert weights_fingerprint({"w": one}) != weights_fingerprint({"w": other})


def test_what_has_no_bytes_is_refused():
    assert weights_fingerprint({"epoch": 3}) != weights_fingerprint({"epoch": 4})
    with pytest.raises(WeightsError, match="'epoch' cannot be kept: it holds a object"):
        weights_fingerprint({"epoch": object()})
    with torch.device("meta"):
        empty = nn.Linear(2, 2)
    with pytest.raises(WeightsError, match="'bias'"):
        weights_fingerprint(empty)
