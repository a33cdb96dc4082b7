"""What fills a frame up around an image, which lies in its upper left: no formula may count it."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from stillhouse.errors import WiringError

Call = Callable[..., Tensor]
MAP = 4
ROUNDING = 1e-4
"""Of a position: shares of a frame are float32."""


def within(content: Tensor, grid: tuple[int, int]) -> Tensor:
    """Which positions of a grid over a frame show any of its image.

    Shapes:
        content: [B, 2], which share of height and width of the frame the image has; returns bool
        [B, 1, H, W].

    >>> within(torch.tensor([[1.0, 0.5]]), (1, 4)).flatten().tolist()
    [True, True, False, False]
    """
    ends = _ends(content, grid)
    rows, columns = (torch.arange(side, device=content.device) for side in grid)
    inside = (rows < ends[:, :1])[:, :, None] & (columns < ends[:, 1:])[:, None, :]
    return inside[:, None]


def by_image(call: Call, inputs: Sequence[Tensor], content: Tensor) -> Tensor:
    """A function of rows on images of equal size together, each without what fills up its frame.

    What it gives for an image is what it gives for the part of its maps that shows it, alone.

    Shapes:
        inputs: maps [B, C, H, W] of one grid, each of its own C; content: [B, 2], see `within`.
        The function gets [b, C, h, w] and gives [b, ...]; returns [B, ...].

    Raises:
        WiringError: the inputs are no maps of one grid.

    >>> x, content = torch.tensor([[[[1.0, 3.0, 9.0, 9.0]]]]), torch.tensor([[1.0, 0.5]])
    >>> by_image(lambda each: each.flatten(1).mean(1), [x], content).tolist()
    [2.0]
    """
    ends = _ends(content, _grid(inputs)).long()
    sizes = ends.unique(dim=0)
    whole: Tensor | None = None
    for height, width in sizes.tolist():
        rows = ((ends[:, 0] == height) & (ends[:, 1] == width)).nonzero()[:, 0]
        found = call(*(x[rows, :, :height, :width] for x in inputs))
        if whole is None:
            whole = found.new_zeros(len(ends), *found.shape[1:])
        whole = whole.index_copy(0, rows, found)
    return call(*inputs) if whole is None else whole


def by_shown(call: Call, inputs: Sequence[Tensor], content: Tensor) -> Tensor:
    """A function of a whole batch on the positions that show an image, as maps of one each.

    Shapes:
        inputs, content: as of `by_image`; the function gets [N, C, 1, 1] of the N positions of all
        images, and its value is returned.

    >>> x, content = torch.tensor([[[[1.0, 3.0, 9.0, 9.0]]]]), torch.tensor([[1.0, 0.5]])
    >>> by_shown(torch.sum, [x], content).item()
    4.0
    """
    inside = within(content, _grid(inputs))[:, 0]
    return call(*(x.movedim(1, -1)[inside][:, :, None, None] for x in inputs))


def _ends(content: Tensor, grid: tuple[int, int]) -> Tensor:
    """How many rows and columns of a grid show any of each image, [B, 2]."""
    return (content.float() * content.new_tensor(grid).float() - ROUNDING).ceil().clamp(min=1)


def _grid(inputs: Sequence[Tensor]) -> tuple[int, int]:
    grids = {tuple(x.shape[2:]) if x.ndim == MAP else () for x in inputs}
    if len(grids) != 1 or grids == {()}:
        shapes = ", ".join(str(list(x.shape)) for x in inputs)
        said = f"it reads maps [B, C, H, W] of one size, and these are {shapes}"
        raise WiringError("frames", [f"{said}; bring them to one size first"])
    height, width = grids.pop()
    return height, width
