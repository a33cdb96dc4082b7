"""Costs against countings by hand; times are only looked at, never compared."""

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from stillhouse.models import build_model
from stillhouse.students.low_rank import low_rank
from stillhouse.students.measures import conditions, file_bytes, latencies, macs, measured


def counted(module: nn.Module, shape: tuple[int, int, int]) -> int:
    """Outputs of each layer times what each of them is a sum of."""
    total = 0

    def count(layer: nn.Module, _, out: torch.Tensor) -> None:
        nonlocal total
        total += out.numel() * layer.weight[0].numel()

    layers = [part for part in module.modules() if isinstance(part, nn.Conv2d | nn.Linear)]
    handles = [layer.register_forward_hook(count) for layer in layers]
    module.eval()(torch.zeros(1, *shape))
    for handle in handles:
        handle.remove()
    return total


@pytest.mark.parametrize(
    "name", ["resnet8w8", "wrn_16_1", "mobilenet_v2", "shufflenet_v1", "lenet5", "mlp-64-32"]
)
def test_operations_as_counted_layer_by_layer(name: str) -> None:
    net = build_model(name, classes=10, size=32)
    assert macs(net, (3, 32, 32)) == counted(net, (3, 32, 32)) > 0
    made = low_rank(net, ratio=0.5).module
    assert macs(made, (3, 32, 32)) == counted(made, (3, 32, 32))


def test_attention_is_counted_as_its_products() -> None:
    net = build_model("vit-32-2-4", classes=10, channels=1, size=8)
    tokens = net.tokens.positions.shape[1]
    # Scores and their sums over values: N x N x width twice, in each of two blocks.
    assert macs(net, (1, 8, 8)) == counted(net, (1, 8, 8)) + 2 * 2 * tokens**2 * 32


class Encoder(nn.Module):
    """Sixteen tokens of an image of 16 x 16; torch's own layer, whose fused form is one call."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
        self.fc = nn.Linear(16, 5)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.fc(self.layer(image.flatten(1, 2)).mean(1))


def test_torchs_own_encoder_is_counted_and_stays_fused() -> None:
    n, d = 16, 16
    by_hand = n * (3 * d * d + d * d + 2 * d * 32) + 2 * n * n * d + d * 5
    fused = torch.backends.mha.get_fastpath_enabled()
    assert macs(Encoder(), (1, 16, 16)) == by_hand == 41040
    assert torch.backends.mha.get_fastpath_enabled() == fused


def test_bytes_are_those_of_the_file(tmp_path) -> None:
    net = build_model("resnet8", classes=10)
    save_file(net.state_dict(), tmp_path / "net.safetensors")
    assert file_bytes(net) == (tmp_path / "net.safetensors").stat().st_size


def test_networks_are_measured_side_by_side_and_stay_as_they_were() -> None:
    nets = [build_model("convnet-4-8", classes=10), build_model("resnet8w8", classes=10).eval()]
    before = nets[0].layer1.bn.num_batches_tracked.item()
    small, large = measured(nets, [(3, 8, 8)] * 2)
    assert small.parameters < large.parameters
    assert set(small.milliseconds) == {1, 64}
    assert all(spent > 0 for spent in small.milliseconds.values())
    assert nets[0].training
    assert not nets[1].training
    assert nets[0].layer1.bn.num_batches_tracked.item() == before
    assert all(p.requires_grad for net in nets for p in net.parameters())


def test_two_rounds_are_made_however_short_the_time() -> None:
    calls = []

    class Counting(nn.Identity):
        def forward(self, x):
            calls.append(len(x))
            return x

    assert len(latencies([Counting(), Counting()], [(1, 2, 2)] * 2, batch=5, seconds=0.0)) == 2
    assert len(calls) == 2 * (3 + 2)
    assert set(calls) == {5}


def test_conditions_say_what_a_time_depends_on() -> None:
    assert {"device", "torch", "threads", "processors"} == set(conditions(torch.device("cpu")))
