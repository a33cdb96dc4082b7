"""How much of what a card can do a step uses: its operations against a large product's."""

from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from card.clock import once
from card.pairs import Pair
from card.steps import loss_of

RUNS = 20


def product_rate(device: torch.device, side: int) -> float:
    """Operations per second of a bf16 product of square matrices: the peak as it can be measured.

    What a data sheet says is more, and is not known here.
    """
    a, b = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))

    def block(steps: int) -> None:
        for _ in range(steps):
            torch.mm(a, b)

    block(3)
    seconds = sorted(once(block, RUNS, device)[0] for _ in range(3))[1]
    return 2 * side**3 / seconds


def operations(pair: Pair) -> dict[str, int]:
    """Of one step, counted by torch on the processor for one image and multiplied.

    Convolutions and products, forward and backward; a live teacher adds its forward pass.
    """
    student, teacher = pair.networks()
    image, label = torch.zeros(2, 3, pair.side, pair.side), torch.tensor([0, 1])
    with FlopCounterMode(display=False) as counted:
        loss_of(student.train()(image), label, None).backward()
    alone = counted.get_total_flops() * pair.batch // 2
    with FlopCounterMode(display=False) as counted, torch.no_grad():
        teacher(image)
    forward = counted.get_total_flops() * pair.batch // 2
    return {"plain": alone, "cached": alone, "live": alone + forward}


def shares(pair: Pair, contests: dict[str, Any], peak: float) -> dict[str, Any]:
    """The share of the peak that each bf16 step of a pair reaches, by form and step."""
    wanted = operations(pair)
    return {
        "operations": wanted,
        **{
            form: {
                name: round(wanted[name] / (1e-3 * of[name]["ms"]) / peak, 6)
                for name in wanted
            }
            for form, of in contests.items()
            if of
        },
    }  # fmt: skip
