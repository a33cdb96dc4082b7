"""Gradients of single terms: how hard each pulls at the weights of a node, on some batches."""

from collections.abc import Iterable, Sequence

import torch
from torch import nn

from stillhouse.engine.composite import run_outside
from stillhouse.engine.player import Player
from stillhouse.engine.signals import Signals


def gradient_norms(
    player: Player, batches: Iterable[Signals], parameters: Sequence[nn.Parameter]
) -> dict[str, float]:
    """Root of the summed squares of each unweighted term's gradient, over batches and parameters.

    Of several processes the gradient is the mean of all, as in training, so all find the same.

    Nothing is moved but what a forward pass in train mode moves (statistics of batch norm, memory
    of losses).

    Args:
        player: of the update whose terms they are.
        batches: training batches.
        parameters: at which the gradients are taken.
    """
    names = [term.name for term in player.plan.update.terms]
    sums = torch.zeros(len(names), dtype=torch.float64)
    for batch in batches:
        values = player.composite(run_outside(player.plan.outside, batch))
        for at, value in enumerate(values.unbind()):
            found = torch.autograd.grad(
                value, parameters, retain_graph=True, allow_unused=True, materialize_grads=True
            )
            whole = player.platform.mean(torch.cat([gradient.flatten() for gradient in found]))
            sums[at] += whole.double().square().sum().cpu()
    return dict(zip(names, sums.sqrt().tolist(), strict=True))
