"""ReviewKD: the objective by hand, its levels, its warm-up."""

import pytest
import torch
import torch.nn.functional as F
from stage_by_hand import Nets, equals_by_hand
from torch import Tensor, nn

from stillhouse.engine.nodes import Role
from stillhouse.engine.platform import Platform
from stillhouse.errors import RecipeError, WiringError
from stillhouse.methods import review_kd
from stillhouse.testing import check_method
from stillhouse.testing.toy import ToyNet, taught, toy_batches, untaught

PAIRS = (("relu", "relu"), ("down", "down"))


def features(net: ToyNet, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    first = net.relu(net.bn(net.conv(image)))
    last = net.down(first)
    return first, last, net.drop(last.mean((2, 3)))  # what the head reads


def fused(net: nn.Module, x: Tensor, deeper: Tensor | None) -> Tensor:
    x = net.norm(F.conv2d(x, net.conv.weight))
    if deeper is None:
        return x
    y = F.interpolate(deeper, x.shape[2:], mode="nearest")
    a = torch.sigmoid(net.attention(torch.cat([x, y], 1)))
    return x * a[:, :1] + y * a[:, 1:]


def context(s: Tensor, t: Tensor) -> Tensor:
    scales = [scale for scale in (4, 2, 1) if scale < s.shape[2]]
    weights = [0.5 ** (place + 1) for place in range(len(scales))]
    value = F.mse_loss(s, t)
    for weight, scale in zip(weights, scales, strict=True):
        pools = (F.adaptive_avg_pool2d(x, scale) for x in (s, t))
        value = value + weight * F.mse_loss(*pools)
    return value / (1 + sum(weights))


def objective(nets: Nets, image: Tensor, label: Tensor, epoch: float) -> Tensor:
    first, last, z = features(nets["student"], image)
    logits = nets["student"].fc(z)
    with torch.no_grad():
        theirs = features(nets["teacher"], image)
    three = fused(nets["fused3"], z[:, :, None, None], None)
    two = fused(nets["fused2"], last, three)
    one = fused(nets["fused1"], first, two)
    targets = [theirs[0], theirs[1], theirs[2][:, :, None, None]]
    value = F.cross_entropy(logits, label)
    for level, (u, t) in enumerate(zip((one, two, three), targets, strict=True), start=1):
        conv, norm = nets[f"reviewed{level}"]
        review = norm(F.conv2d(u, conv.weight, padding=1))
        value = value + 2.0 * min(epoch / 1.5, 1.0) * context(review, t)
    return value


def test_it_equals_a_hand_written_loop(platform: Platform) -> None:
    stage = review_kd(untaught(4), taught(6), weight=2.0, warmup=1.5)
    equals_by_hand(stage, toy_batches(), platform, objective)


def test_the_weight_grows_over_the_warmup() -> None:
    stage = review_kd(untaught(4), taught(6), pairs=PAIRS)
    terms = list(stage.terms())
    assert [term.name for term in terms] == ["label", "review1", "review2", "review3"]
    assert [terms[1].weight_at(epoch) for epoch in (0.0, 5.0, 20.0, 100.0)] == [0, 1.25, 5, 5]
    at_once = review_kd(untaught(4), taught(6), pairs=PAIRS, warmup=0.0)
    assert [term.weight_at(0.0) for term in at_once.terms()] == [1, 5, 5, 5]


def test_the_embeddings_are_the_deepest_level_unless_not() -> None:
    with_them = review_kd(untaught(4), taught(6), pairs=PAIRS)
    assert [n.name for n in with_them.nodes][2::3] == ["fused3", "fused2", "fused1"]
    assert with_them.node("fused3").reads == ("student.embedding",)
    without = review_kd(untaught(4), taught(6), pairs=PAIRS, embedding=False)
    assert without.node("fused2").reads == ("student.down",)
    assert without.node("fused1").reads == ("student.relu", "fused2")
    check_method(review_kd, options={"embedding": False, "warmup": 0.0}, widths=[(4, 6)])


def test_what_it_refuses() -> None:
    with pytest.raises(RecipeError, match=r"warmup is -1\.0; it must be at least 0"):
        review_kd(untaught(4), taught(6), warmup=-1.0)
    with pytest.raises(WiringError, match="comes as a node"):
        review_kd(untaught(4), Role("teacher", taught(6)), head="fc")
