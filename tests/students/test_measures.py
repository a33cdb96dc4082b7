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
