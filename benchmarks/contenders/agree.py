"""Do the contenders do the same work? Their steps against steps written out by hand; no timing.

    python benchmarks/contenders/agree.py

From the same weights, on the same batches (not augmented, in order), each contender must reach the
student of the hand-written steps to 1e-5 (weights and batch-norm statistics) and must leave the
teacher as it was. The hand-written step shares no code with them: its own normalisation, sums over
probabilities and SGD.
"""

import copy
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parents[1]))

from contenders.loop import Loop
from contenders.research_loop import research_loop
from contenders.torchdistill_loop import torchdistill_loop
from stillhouse.data import ImageTable
from stillhouse.errors import MissingExtra
from stillhouse.models import build_model

BATCH = 64
STEPS = 2  # the second step is the first with a momentum to carry on
TOLERANCE = 1e-5

CONTENDERS: dict[str, Callable[..., Loop]] = {
    "research loop": research_loop,
    "torchdistill": torchdistill_loop,
}


def main() -> None:
    torch.manual_seed(0)
    images = torch.randint(0, 256, (STEPS * BATCH, 32, 32, 3)).to(torch.uint8)
    table = ImageTable(images, torch.randint(0, 100, (STEPS * BATCH,)))
    student = build_model("wrn_16_2", classes=100)
    teacher = settled(build_model("wrn_40_2", classes=100), normal(images[:BATCH]))
    expected = by_hand(table, copy.deepcopy(student), teacher)
    failed = False
    for name, contender in CONTENDERS.items():
        learner, guide = copy.deepcopy(student), copy.deepcopy(teacher)
        try:
            loop = contender(table, learner, guide, batch=BATCH, workers=0, fixed=True)
        except MissingExtra as missing:
            raise SystemExit(str(missing)) from None
        for step, state in enumerate(expected, start=1):
            loop(1)
            apart, where = furthest(learner.state_dict(), state)
            failed |= apart > TOLERANCE
            print(f"{name:<14} after step {step}: at most {apart:.1e} apart ({where})")
        changed, where = furthest(guide.state_dict(), teacher.state_dict())
        failed |= changed > 0
        print(f"{name:<14} teacher: changed by {changed:.1e}")
    if failed:
        raise SystemExit(f"they do not agree (to {TOLERANCE:.0e}, and an unchanged teacher)")
    print("all agree")


def normal(images: Tensor) -> Tensor:
    mean, std = torch.tensor([0.5071, 0.4865, 0.4409]), torch.tensor([0.2673, 0.2564, 0.2762])
    return ((images / 255 - mean) / std).permute(0, 3, 1, 2).contiguous()


def settled(teacher: nn.Module, images: Tensor) -> nn.Module:
    """Give an untrained teacher the batch statistics of some images, so that it has soft scores."""
    norms = [module for module in teacher.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        teacher.train()(images)
    for norm in norms:
        norm.momentum = 0.1
    return teacher.eval()


def by_hand(table: ImageTable, student: nn.Module, teacher: nn.Module) -> list[dict[str, Tensor]]:
    """The student after each step: SGD 0.05, momentum 0.9, weight decay 5e-4."""
    weights = list(student.parameters())
    moments = [torch.zeros_like(weight) for weight in weights]
    states = []
    student.train()
    for image, label in zip(table.images.split(BATCH), table.labels.split(BATCH), strict=True):
        with torch.no_grad():
            likely = torch.softmax(teacher(normal(image)) / 4, 1)
        scores = student(normal(image))
        hard = -torch.log_softmax(scores, 1)[torch.arange(BATCH), label].sum() / BATCH
        apart = likely.log() - torch.log_softmax(scores / 4, 1)
        loss = 0.1 * hard + 0.9 * 4**2 * (likely * apart).sum() / BATCH
        slopes = torch.autograd.grad(loss, weights)
        with torch.no_grad():
            for weight, moment, slope in zip(weights, moments, slopes, strict=True):
                moment.mul_(0.9).add_(slope + 5e-4 * weight)
                weight.sub_(0.05 * moment)
        states.append(copy.deepcopy(student.state_dict()))
    return states


def furthest(found: dict[str, Tensor], expected: dict[str, Tensor]) -> tuple[float, str]:
    """The largest difference and the entry that has it."""
    return max(((found[name] - expected[name]).abs().max().item(), name) for name in expected)


if __name__ == "__main__":
    main()
