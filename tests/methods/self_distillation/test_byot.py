"""Be your own teacher: the loop by hand over two exits, what is kept, what is told."""

import pytest
import torch
import torch.nn.functional as F
from by_hand import Batch, Nets, equals_by_hand, labels, softened, trained
from tiny import tiny_net
from torch import Tensor, nn

from stillhouse.data.batches import Batches
from stillhouse.engine.facts import facts_of
from stillhouse.errors import ModelError
from stillhouse.methods import byot

ALPHA, T, FEATURE = 0.3, 2.0, 0.5


class Deep(nn.Module):
    """Three resolutions."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.one = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU())
        self.two = nn.Sequential(nn.Conv2d(4, 5, 3, stride=2, padding=1), nn.ReLU())
        self.three = nn.Sequential(nn.Conv2d(5, 6, 3, stride=2, padding=1), nn.BatchNorm2d(6))
        self.fc = nn.Linear(6, 3)

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.three(self.two(self.one(image))).mean((2, 3)))
        return logits


def objective(nets: Nets, batch: Batch, _epoch: float) -> Tensor:
    net = nets["student"]
    one = net.one(batch["batch.image"])
    two = net.two(one)
    deep = net.three(two).mean((2, 3))
    logits = net.fc(deep)
    loss = labels(logits, batch)
    for at, x in ((1, one), (2, two)):
        branch = nets[f"branch_{at}"]
        feature = branch.norm(F.conv2d(x, branch.conv.weight, stride=2, padding=1))
        feature = feature.clamp(min=0).mean((2, 3))
        left = nets[f"exit_{at}"](feature)
        loss = loss + (1 - ALPHA) * labels(left, batch)
        loss = loss + ALPHA * softened(left, logits.detach(), T)
        loss = loss + FEATURE * (feature - deep.detach()).square().mean()
    return loss


def test_it_equals_a_loop_by_hand(train: Batches) -> None:
    stage = byot(Deep(), alpha=ALPHA, temperature=T, feature_weight=FEATURE)
    learning = ["student", "branch_1", "exit_1", "branch_2", "exit_2"]
    equals_by_hand(stage, train, objective, learning=learning)


def test_exits_are_measured_and_dropped(train: Batches) -> None:
    stage = byot(Deep())
    fitted = trained(stage, train, epochs=1, validation=train)
    assert list(fitted.history[-1]["validation"]) == ["student", "exit 1", "exit 2"]
    Deep().load_state_dict(fitted.last["student"], strict=True)
    whole = stage.completed(facts_of(train))
    assert whole.notes == {"exits": "one, two"}
    assert (whole.keeps, dict(whole.products)) == ("student", {})
    assert [term.name for term in whole.terms()] == [
        "label", "label_1", "kd_1", "feature_1", "label_2", "kd_2", "feature_2",
    ]  # fmt: skip


def test_a_network_of_one_resolution_is_told(train: Batches) -> None:
    with pytest.raises(ModelError, match=r"TinyNet works at one resolution .* leave early"):
        byot(tiny_net()).completed(facts_of(train))
