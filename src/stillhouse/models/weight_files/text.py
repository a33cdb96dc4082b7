"""How names and tensors are listed in a sentence."""

from collections.abc import Sequence

from torch import Tensor

SHOWN = 3


def some(names: Sequence[str]) -> str:
    """The first few names and how many more there are.

    >>> some(["a", "b", "c", "d", "e"])
    'a, b, c and 2 more'
    """
    rest = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {rest} more" if rest > 0 else "")


def kind_of(tensor: Tensor) -> str:
    """Shape and kind of numbers.

    >>> import torch
    >>> kind_of(torch.zeros(2, 3))
    '[2, 3] float32'
    """
    kind = str(tensor.dtype).removeprefix("torch.")
    layout = "" if str(tensor.layout) == "torch.strided" else f" {tensor.layout}"[7:]
    empty = ", without values (of the device 'meta')" if tensor.is_meta else ""
    return f"{list(tensor.shape)} {kind}{layout and f', {layout}'}{empty}"
