"""Neuron selectivity transfer: the loop by hand, with all pairs of channels."""

import torch
from by_hand import Batch, Nets, equals_by_hand, frozen, labels, of_toy
from torch import Tensor

from stillhouse.methods import nst
from stillhouse.testing.toy import taught, toy_batches, untaught


def mmd(student: Tensor, teacher: Tensor) -> Tensor:
    def unit(x: Tensor) -> Tensor:
        return x.flatten(2) / x.flatten(2).norm(dim=2, keepdim=True).clamp(min=1e-12)

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return torch.einsum("bip,bjp->bij", a, b).square().mean()

    s, t = unit(student), unit(teacher)
    return kernel(s, s) + kernel(t, t) - 2 * kernel(s, t)


def objective(nets: Nets, batch: Batch, _epoch: float) -> Tensor:
    *maps, logits = of_toy(nets["student"], batch)
    *targets, _ = frozen(of_toy, nets["teacher"], batch)
    gaps = [mmd(a, b) for a, b in zip(maps, targets, strict=True)]
    return labels(logits, batch) + 5.0 * sum(gaps)


def test_it_equals_a_loop_by_hand() -> None:
    stage = nst(untaught(4), taught(6), weight=5.0)
    # Of one epoch: its steps are large, so rounding grows a thousandfold in the next one.
    equals_by_hand(stage, toy_batches(), objective, epochs=1)
