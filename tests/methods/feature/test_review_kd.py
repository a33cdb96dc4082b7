"""ReviewKD: the loop by hand, its levels, its warm-up."""

import torch
import torch.nn.functional as F
from by_hand import Batch, Nets, equals_by_hand, frozen, labels
from torch import Tensor, nn

from stillhouse.methods import review_kd
from stillhouse.testing import check_method
from stillhouse.testing.toy import taught, toy_batches, untaught

PAIRS = (("relu", "relu"), ("down", "down"))


def features(net: nn.Module, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    first = net.relu(net.bn(net.conv(batch["batch.image"])))
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


def objective(nets: Nets, batch: Batch, epoch: float) -> Tensor:
    first, last, z = features(nets["student"], batch)
    theirs = frozen(features, nets["teacher"], batch)
    three = fused(nets["fused3"], z[:, :, None, None], None)
    two = fused(nets["fused2"], last, three)
    one = fused(nets["fused1"], first, two)
    targets = [theirs[0], theirs[1], theirs[2][:, :, None, None]]
    value = labels(nets["student"].fc(z), batch)
    for level, (u, t) in enumerate(zip((one, two, three), targets, strict=True), start=1):
        conv, norm = nets[f"reviewed{level}"]
        review = norm(F.conv2d(u, conv.weight, padding=1))
        value = value + 2.0 * min(epoch / 1.5, 1.0) * context(review, t)
    return value


def test_it_equals_a_loop_by_hand() -> None:
    stage = review_kd(untaught(4), taught(6), weight=2.0, warmup=1.5)
    added = [f"{part}{level}" for level in (1, 2, 3) for part in ("fused", "reviewed")]
    learning, tolerance = ["student", *added], (2e-5, 2e-4)
    equals_by_hand(stage, toy_batches(), objective, learning=learning, tolerance=tolerance)


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
