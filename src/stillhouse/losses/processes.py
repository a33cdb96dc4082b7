"""What a memory needs of data-parallel training: the rows of all processes."""

import torch
import torch.distributed
from torch import Tensor


def of_all(x: Tensor) -> Tensor:
    """The rows of all processes, in their order; with one process the rows as they are.

    A memory must be written with these: of the buffers of several processes only those of the
    first are kept, the others take them over before each step.

    Shapes:
        x: [B, ...]; returns [processes * B, ...].

    >>> of_all(torch.tensor([1, 2]))
    tensor([1, 2])
    """
    distributed = torch.distributed
    if not distributed.is_available() or not distributed.is_initialized():
        return x
    world = distributed.get_world_size()
    if world == 1:
        return x
    whole = x.new_empty(world * len(x), *x.shape[1:])
    distributed.all_gather_into_tensor(whole, x.contiguous())
    return whole
