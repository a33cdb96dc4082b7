"""Plain PyTorch without the engine: what a method on logits must end with."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from stillhouse.data.batches import Batches
from stillhouse.engine.optimisers import constant, sgd
from stillhouse.engine.trainer import Settings

RATE = 0.05
EPOCHS = 3


def settings(**changes: Any) -> Settings:
    """The same training for the engine: SGD without momentum, decay or schedule."""
    rule = sgd(RATE, momentum=0.0, weight_decay=0.0)
    fixed = {"epochs": EPOCHS, "optimizer": rule, "schedule": constant(), "channels_last": False}
    return Settings(**{**fixed, **changes})


def by_hand(
    student: nn.Module,
    teacher: nn.Module,
    data: Batches,
    loss: Callable[..., Tensor],
    *,
    extra: nn.Module | None = None,
) -> None:
    """``loss(student, target, image, label, epoch)`` in the student's (and the extra) weights."""
    learning = [*student.parameters(), *(extra.parameters() if extra else [])]
    student.train()
    teacher.eval()
    for epoch in range(EPOCHS):
        for step, batch in enumerate(data.epoch(epoch)):
            image, label = batch["batch.image"], batch["batch.label"]
            with torch.no_grad():
                target = teacher(image)
            value = loss(student, target, image, label, epoch + step / len(data))
            slopes = torch.autograd.grad(value, learning, allow_unused=True)
            with torch.no_grad():
                for weight, slope in zip(learning, slopes, strict=True):
                    if slope is not None:
                        weight -= RATE * slope


def close(mine: nn.Module, theirs: nn.Module, tolerance: float = 1e-4) -> None:
    """Equal up to rounding, tensor by tensor."""
    for (name, a), b in zip(mine.state_dict().items(), theirs.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, atol=tolerance, rtol=tolerance, msg=name)
