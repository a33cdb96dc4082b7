"""MobileFaceNet: the published table by hand, weights of elsewhere, scaled-down students."""

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn

from stillhouse.engine.heads import find_head
from stillhouse.engine.nodes import Role
from stillhouse.models import build_model, describe
from stillhouse.models.cosine_head import CosineHead
from stillhouse.models.mobilefacenet import MobileFaceNet


def by_hand(state, x):
    """The table of arXiv 1804.07573 on a state dict, in float64 and in functions alone."""
    state = {name: value.double() for name, value in state.items()}

    def norm(x, at):
        mean, var, scale, shift = (
            state[f"{at}.{part}"][:, None, None]
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (var + 1e-5).sqrt() * scale + shift

    def layer(x, at, bn, act, stride=1, padding=0, depthwise=False):
        weight = state[f"{at}.weight"]
        groups = len(weight) if depthwise else 1
        x = norm(F.conv2d(x, weight, None, stride, padding, groups=groups), bn)
        slope = state.get(f"{act}.weight")
        return x if slope is None else torch.where(x > 0, x, x * slope[:, None, None])

    def named(x, at, **more):
        return layer(x, f"{at}.conv", f"{at}.bn", f"{at}.prelu", **more)

    x = named(x.double(), "conv1", stride=2, padding=1)
    x = named(x, "dw_conv1", padding=1, depthwise=True)
    widths, strides = [64, *[64] * 5, 128, *[128] * 6, 128, 128, 128], {0: 2, 5: 2, 12: 2}
    for at in range(15):
        block, stride = f"blocks.{at}.conv", strides.get(at, 1)
        y = layer(x, f"{block}.0", f"{block}.1", f"{block}.2")
        y = layer(y, f"{block}.3", f"{block}.4", f"{block}.5", stride, 1, depthwise=True)
        y = layer(y, f"{block}.6", f"{block}.7", "none")
        x = x + y if stride == 1 and widths[at] == widths[at + 1] else y
    x = named(x, "conv2")
    x = named(x, "linear7", depthwise=True)
    return named(x, "linear1").flatten(1)


def randomised(network: nn.Module) -> nn.Module:
    made = torch.Generator().manual_seed(0)
    for name, value in network.state_dict().items():
        if name.endswith(("running_var", "bn.weight", "prelu.weight")):
            value.uniform_(0.5, 1.5, generator=made)
        elif name.endswith(("running_mean", "bias")):
            value.normal_(std=0.1, generator=made)
    return network.eval()


def test_it_is_the_published_table():
    network = randomised(MobileFaceNet())
    faces = torch.randn(2, 3, 112, 96, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        found = network(faces)
    wanted = by_hand(network.state_dict(), faces)
    assert found.shape == (2, 128)
    torch.testing.assert_close(found.double(), wanted, rtol=1e-4, atol=1e-4)


def test_weights_of_elsewhere_load_strictly(shared_data):
    state = load_file(shared_data / "mobilefacenet" / "model.safetensors")
    network = MobileFaceNet().eval()
    assert len(state) == len(network.state_dict()) == 333
    network.load_state_dict(state, strict=True)
    face = torch.rand(1, 3, 112, 96, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        found = network(face)
    wanted = by_hand(state, face)
    torch.testing.assert_close(found.double(), wanted, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "size", "parameters", "last"),
    [
        ("mobilefacenet", (112, 96), 999_552, (7, 6)),
        ("mobilefacenet_0.5", (56, 48), 279_232, (4, 3)),
        ("mobilefacenet_0.25", 64, 87_008, (4, 4)),
        ("mobilefacenet_0.5-64", (50, 40), 262_720, (4, 3)),
    ],
)
def test_of_any_width_and_size_its_global_layer_fits_the_last_map(name, size, parameters, last):
    network = build_model(name, classes=7, size=size).eval()
    assert network.linear7.conv.kernel_size == last
    assert describe(network).parameters == parameters + network.fc.weight.numel()
    sides = (size, size) if isinstance(size, int) else size
    with torch.no_grad():
        assert network(torch.zeros(1, 3, *sides)).shape == (1, 7)
    assert isinstance(network.fc, CosineHead)


def test_its_head_is_found_with_classes_and_without():
    assert find_head(MobileFaceNet(classes=3), who="student") == "fc"
    embedder = Role("teacher", MobileFaceNet(size=(16, 16), width=0.25).eval())
    images = torch.randn(2, 3, 16, 16)
    embedder.open(["embedding"])
    given = embedder.run({"batch.image": images})
    embedder.close()
    assert torch.equal(given["teacher.embedding"], embedder.module(images))
    assert "has no classes" in (embedder.problem("logits") or "")


def test_a_head_that_was_taken_away_counts_only_behind_all_others():
    emptied = build_model("resnet8", classes=3)
    emptied.fc = nn.Identity()
    assert find_head(emptied, who="teacher") == "fc"
    assert find_head(nn.Sequential(emptied, nn.Linear(64, 3)), who="student") == "1"
    assert find_head(nn.Sequential(emptied, CosineHead(64, 3)), who="student") == "1"
