"""The loop that one would write by hand, for relational losses on embeddings."""

from collections.abc import Callable, Iterable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stillhouse.data.batches import Batches
from stillhouse.engine.optimisers import cosine, sgd
from stillhouse.engine.seeding import StepSeeds
from stillhouse.engine.trainer import Settings

EPOCHS, SEED, RATE = 2, 7, 0.05
Relation = Callable[[Tensor, Tensor, dict[str, Tensor]], Tensor]


@pytest.fixture
def budget() -> Settings:
    fixed = {"optimizer": sgd(RATE), "schedule": cosine(), "channels_last": False}
    return Settings(epochs=EPOCHS, seed=SEED, **fixed)


@pytest.fixture
def by_hand(train: Batches) -> Callable[..., list[float]]:
    """Train a student by CE + a relation of the two embeddings; gives the relation of each step."""

    def loop(
        student: nn.Module,
        teacher: nn.Module,
        relation: Relation,
        *,
        feature: Callable[[nn.Module, Tensor], Tensor] | None = None,
        label_weight: float = 1.0,
        learning: Iterable[nn.Module] = (),
    ) -> list[float]:
        feature = feature or embedding
        parameters = [p for net in (student, *learning) for p in net.parameters()]
        optimizer = torch.optim.SGD(parameters, RATE, momentum=0.9, weight_decay=5e-4)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS * len(train))
        seeds, step, values = StepSeeds(SEED, "step", 0), 0, []
        student.train()
        teacher.eval()
        for epoch in range(EPOCHS):
            for batch in train.epoch(epoch):
                seeds.enter(step)
                image = batch["batch.image"]
                with torch.no_grad():
                    theirs = feature(teacher, image)
                mine = feature(student, image)
                logits = student.fc(mine if mine.ndim == 2 else mine.mean((2, 3)))
                value = relation(mine, theirs, batch)
                loss = label_weight * F.cross_entropy(logits, batch["batch.label"]) + value
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                values.append(value.item())
                step += 1
        return values

    return loop


def embedding(net: nn.Module, image: Tensor) -> Tensor:
    return feature_map(net, image).mean((2, 3))


def feature_map(net: nn.Module, image: Tensor) -> Tensor:
    value: Tensor = net.relu(net.bn(net.conv(image)))
    return value


@pytest.fixture
def maps() -> Callable[[nn.Module, Tensor], Tensor]:
    return feature_map


@pytest.fixture
def same_weights() -> Callable[[nn.Module, nn.Module], None]:
    def check(mine: nn.Module, theirs: nn.Module) -> None:
        pairs = zip(mine.state_dict().items(), theirs.state_dict().values(), strict=True)
        for (name, a), b in pairs:
            torch.testing.assert_close(
                a, b, rtol=1e-4, atol=1e-5, msg=lambda said, at=name: f"{at}: {said}"
            )

    return check
