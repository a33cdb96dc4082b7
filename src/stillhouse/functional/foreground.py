"""Foreground and background of maps, weighted by a teacher's attention (FGD)."""

from typing import NamedTuple

import torch
from torch import Tensor

from stillhouse.functional.frames import within

BOXES = 3
"""Dimensions of a label that holds boxes, [B, M, fields]."""
CLASS, BOX = 0, slice(1, 5)


class Regions(NamedTuple):
    """Weights of the positions of maps, [B, 1, H, W] each, float32."""

    foreground: Tensor
    background: Tensor


def regions(
    label: Tensor,
    image: tuple[int, int],
    grid: tuple[int, int],
    content: Tensor | None = None,
) -> Regions:
    """Where objects are, on a grid over the image.

    A position within a box weighs ``1 / (h w)`` of the box, in positions, h and w from the floor
    of one side to the ceiling of the other, both inclusive; where boxes overlap the larger weight,
    of the smaller object, counts. The positions of no box share 1 among them; filling around the
    image has no weight. An image whose label is a class is one object that fills it.

    Args:
        label: [B, M, 5 or more]: class (below 0: no box), left, top, right, bottom in pixels of the
            image; or classes [B].
        image: height and width of the image in pixels, filling included.
        grid: height and width of the map.
        content: [B, 2]: how much of its frame each image is, see
            `stillhouse.functional.frames.within`; None: all of it.

    Paper: Yang et al., "Focal and Global Knowledge Distillation for Detectors", arXiv 2111.11837.

    Differs from the authors' code: boxes are scaled by the size of the image with its filling, as
        the map is; there without it, which shifts the mask.

    >>> box = torch.tensor([[[0.0, 0, 0, 2, 2]]])
    >>> regions(box, (8, 8), (4, 4)).foreground[0, 0, 0].tolist()
    [0.25, 0.25, 0.0, 0.0]
    """
    height, width = grid
    if label.ndim != BOXES:
        whole = torch.full((len(label), 1, *grid), 1.0 / (height * width), device=label.device)
        return Regions(whole, torch.zeros_like(whole))
    boxes = label[..., BOX].float()
    ratio = boxes.new_tensor([width / image[1], height / image[0]])
    low = (boxes[..., :2] * ratio).floor()
    high = (boxes[..., 2:] * ratio).ceil()
    sides = (high - low + 1).clamp(min=1)
    weight = 1.0 / sides.prod(-1)
    rows = torch.arange(height, device=label.device)
    columns = torch.arange(width, device=label.device)
    inside_x = (columns >= low[..., :1]) & (columns <= high[..., :1])
    inside_y = (rows >= low[..., 1:]) & (rows <= high[..., 1:])
    inside = inside_y[..., :, None] & inside_x[..., None, :]
    there = (label[..., CLASS] >= 0)[..., None, None]
    fore = (inside * there * weight[..., None, None]).amax(1, keepdim=True)
    free = fore == 0
    back = (free if content is None else free & within(content, grid)).float()
    count = back.sum((2, 3), keepdim=True).clamp(min=1)
    return Regions(fore, back / count)


def spatial_attention(x: Tensor, temperature: float, inside: Tensor | None = None) -> Tensor:
    """``n softmax_i(mean_c |x| / T)`` over n positions: how active these are, [B, 1, H, W].

    Where ``inside`` [B, 1, H, W] says which positions are of an image, the others get 0.
    """
    height, width = x.shape[2:]
    active = x.float().abs().mean(1).flatten(1) / temperature
    if inside is None:
        return (height * width * active.softmax(1)).view(len(x), 1, height, width)
    known = inside.flatten(1)
    share = active.masked_fill(~known, -torch.inf).softmax(1) * known.sum(1, keepdim=True)
    return share.view(len(x), 1, height, width)


def channel_attention(x: Tensor, temperature: float, inside: Tensor | None = None) -> Tensor:
    """``C softmax_c(mean_i |x| / T)``: how active channels are, [B, C, 1, 1]."""
    if inside is None:
        active = x.float().abs().mean((2, 3)) / temperature
    else:
        active = (x.float().abs() * inside).sum((2, 3)) / inside.sum((2, 3)) / temperature
    return (x.shape[1] * active.softmax(1))[..., None, None]


def focal_gap(
    student: Tensor,
    teacher: Tensor,
    label: Tensor,
    image: tuple[int, int],
    content: Tensor | None = None,
    *,
    foreground: float = 1e-3,
    background: float = 5e-4,
    attention: float = 5e-4,
    temperature: float = 0.5,
) -> Tensor:
    """FGD's focal part: squared gaps in objects and around them, and gaps of attention.

    ``a sum M_f A_s A_c (s - t)^2 + b sum M_b A_s A_c (s - t)^2 + g (|A_c(s) - A_c(t)|_1 +
    |A_s(s) - A_s(t)|_1)`` with the weights of `regions`, and A of the teacher in the products.

    Shapes:
        student, teacher: [B, C, H, W] of equal shape; label: as of `regions`; returns [B], float32.

    Args:
        student: the map that learns.
        teacher: the map of the teacher.
        label: the objects.
        image: height and width of the image in pixels, filling included.
        content: how much of its frame each image is, as of `regions`: filling counts nowhere.
        foreground, background, attention: a, b, g. 1e-3, 5e-4, 5e-4: the released settings for
            RetinaNet and GFL; 1.6e-3, 8e-4, 8e-4 and T 0.8 for FCOS.
        temperature: T > 0 of the attentions.

    Paper: Yang et al., "Focal and Global Knowledge Distillation for Detectors", arXiv 2111.11837.

    Differs from the authors' code: see `regions`; filling counts there.

    >>> s, t = torch.zeros(1, 1, 1, 2), torch.tensor([[[[1.0, 1.0]]]])
    >>> round(focal_gap(s, t, torch.tensor([0]), (2, 4), foreground=1.0).item(), 4)
    1.0
    """
    mine, theirs = student.float(), teacher.float()
    grid = int(mine.shape[2]), int(mine.shape[3])
    inside = None if content is None else within(content, grid)
    fore, back = regions(label, image, grid, content)
    at = spatial_attention(theirs, temperature, inside)
    along = channel_attention(theirs, temperature, inside)
    weighted = at * along * (mine - theirs).square()
    gap = (weighted * (foreground * fore + background * back)).flatten(1).sum(1)
    own = (
        spatial_attention(mine, temperature, inside),
        channel_attention(mine, temperature, inside),
    )
    apart = sum((a - b).abs().flatten(1).sum(1) for a, b in zip(own, (at, along), strict=True))
    return gap + attention * apart
