"""Gradients of single terms: how strong each is at the weights of a node, on some batches."""

from collections.abc import Iterable, Sequence

import torch
from torch import nn

from stillhouse.engine.platform import Platform
from stillhouse.engine.signals import Signals
from stillhouse.engine.update_objective import UpdateObjective


def gradient_norms(
    update: UpdateObjective,
    batches: Iterable[Signals],
    parameters: Sequence[nn.Parameter],
    platform: Platform,
) -> dict[str, float]:
    """Root of the summed squares of each unweighted term's gradient, over batches and parameters.

    Of several processes the gradient is the mean of all, as in training, so all find the same.

    Nothing is moved but what a forward pass in train mode moves (statistics of batch norm, memory
    of losses).

    Args:
        update: whose terms they are.
        batches: training batches.
        parameters: at which the gradients are taken.
        platform: of the processes.
    """
    sums = torch.zeros(len(update.names), dtype=torch.float64)
    for batch in batches:
        for at, value in enumerate(update(batch).values.unbind()):
            found = torch.autograd.grad(
                value, parameters, retain_graph=True, allow_unused=True, materialize_grads=True
            )
            whole = platform.mean(torch.cat([gradient.flatten() for gradient in found]))
            sums[at] += whole.double().square().sum().cpu()
    return dict(zip(update.names, sums.sqrt().tolist(), strict=True))
