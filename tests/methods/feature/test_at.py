"""Attention transfer: the loop by hand, maps of other sizes and tokens."""

import torch
import torch.nn.functional as F
from by_hand import Batch, Nets, equals_by_hand, frozen, labels, of_toy
from torch import Tensor, nn

from stillhouse.engine.facts import facts_of
from stillhouse.engine.wiring import wire
from stillhouse.methods import at
from stillhouse.testing.toy import taught, toy_batches, untaught


def attention(x: Tensor) -> Tensor:
    energy = (x * x).sum(1).flatten(1)
    return energy / energy.norm(dim=1, keepdim=True).clamp(min=1e-12)  # some maps are all 0


def objective(nets: Nets, batch: Batch, _epoch: float) -> Tensor:
    *maps, logits = of_toy(nets["student"], batch)
    *targets, _ = frozen(of_toy, nets["teacher"], batch)
    gaps = [F.mse_loss(attention(a), attention(b)) for a, b in zip(maps, targets, strict=True)]
    return labels(logits, batch) + 30.0 * sum(gaps)


def test_it_equals_a_loop_by_hand() -> None:
    equals_by_hand(at(untaught(4), taught(6), weight=30.0), toy_batches(), objective)


def test_maps_of_other_sizes_meet_at_the_smaller() -> None:
    stage = at(untaught(4), taught(6), pairs=(("relu", "down"), ("down", "relu")))
    seen = wire(stage, toy_batches().sample()).seen
    shapes = [
        tuple(seen[f"{who}_map{n}"].shape[1:]) for n in (1, 2) for who in ("student", "teacher")
    ]
    assert shapes == [(4, 4, 4), (6, 4, 4), (4, 4, 4), (6, 4, 4)]
    pooled = F.avg_pool2d(seen["teacher.relu"], 2)
    torch.testing.assert_close(seen["teacher_map2"], pooled)


class Patches(nn.Module):
    """Tokens [B, 17, D]: a class token and a square of patches."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(12, 5)
        self.block = nn.Linear(5, 5)
        self.fc = nn.Linear(5, 3)

    def forward(self, image: Tensor) -> Tensor:
        patches = F.unfold(image, 2, stride=2).mT
        tokens = self.embed(torch.cat([patches.mean(1, True), patches], 1))
        return self.fc(self.block(tokens)[:, 0])


def test_tokens_pair_with_maps() -> None:
    stage = at(untaught(4), Patches(), pairs=(("down", "block"),))
    seen = wire(stage, toy_batches().sample()).seen
    assert seen["teacher_map1"].shape[1:] == (5, 4, 4)
    found = at(untaught(4), Patches()).completed(facts_of(toy_batches()))
    assert found.notes["pairs"]
    wire(found, toy_batches().sample())
