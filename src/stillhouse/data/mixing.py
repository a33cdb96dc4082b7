"""Mixing: an image together with another training row, by mixup or CutMix, and by which share.

Partner, share and box are pure functions of (seed, row, view), as a view is; so a mixed image is
the same in any batch, order, process and number of processes, and a teacher's answer to it is found
in a cache by row and view. Beyer et al., arXiv 2106.05237, "Knowledge distillation: A good teacher
is patient and consistent", is why: teacher and student are to see the very same image.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from stillhouse.data.boxes import inside
from stillhouse.data.views import keys, uniforms
from stillhouse.errors import DataError

IMAGE, LABEL = "batch.image", "batch.label"
PARTNER_LABEL = "batch.partner_label"
"""The label of the row that each image is mixed with."""
LAM = "batch.lam"
"""The share of the image's own row, lambda in 0..1; its partner has the rest."""

_PARTNER, *_DRAWS = range(256, 262)  # far from the draws of `Augment`
_STEPS = 2.0**16
"""Lambda is a multiple of 1 / 65,536, so that no machine's rounding of a cosine reaches it."""


@dataclass(frozen=True)
class Mixing:
    """How the images of a training table are mixed, each row with another one.

    Every row is mixed, with a lambda of its own (timm's mode ``elem``; torchvision draws one for a
    batch, which would make an image depend on its batch). With mixup and CutMix both, each row has
    one of them, drawn evenly (timm's default).

    Args:
        mixup: alpha of ``lambda ~ Beta(alpha, alpha)`` for mixup: ``lambda x + (1 - lambda) x'``
            (Zhang et al., arXiv 1710.09412). 1: torchvision's references and Beyer et al., who take
            the larger of lambda and 1 - lambda, as is not done here. 0: no mixup.
        cutmix: the same for CutMix: a box with sides ``sqrt(1 - lambda)`` of the image's, around a
            uniform place and clipped at the border, is the partner's; lambda is then the share of
            the area that is left (Yun et al., arXiv 1905.04899). 1: there and torchvision's. 0: no
            CutMix.
        rows: of the table, from which partners are drawn.

    Raises:
        DataError: there is one row, which has no partner.
    """

    mixup: float
    cutmix: float
    rows: int

    def __post_init__(self) -> None:
        if self.rows < 2:
            raise DataError(
                f"mixup and cutmix mix an image with another training row, and there is only "
                f"{self.rows}; leave them out, or give more rows"
            )

    def partners(self, *, seed: int, index: Tensor, view: int) -> Tensor:
        """The row that each row is mixed with, any other one of the table with equal chance.

        Shapes:
            index: int64 [B] on the CPU; returns int64 [B].

        >>> Mixing(1.0, 0.0, rows=2).partners(seed=0, index=torch.tensor([0, 1]), view=0).tolist()
        [1, 0]
        """
        away = (keys(seed, index, view, _PARTNER) & (2**63 - 1)) % (self.rows - 1)
        return (index + 1 + away) % self.rows

    def with_partners(self, *, seed: int, index: Tensor, view: int) -> Tensor:
        """The rows of a batch, then their partners: what is read to mix it.

        Shapes:
            index: int64 [B] on the CPU; returns int64 [2 B].
        """
        return torch.cat([index, self.partners(seed=seed, index=index, view=view)])

    def signals(
        self, read: Mapping[str, Tensor], *, seed: int, index: Tensor, view: int
    ) -> dict[str, Tensor]:
        """The signals of a mixed batch, from image and label of its rows and of their partners.

        Shapes:
            read: ``batch.image`` [2 B, C, H, W], ``batch.label`` [2 B, ...]; index: int64 [B] on
            the CPU; returns image, label, `PARTNER_LABEL` and `LAM` of B rows.
        """
        own, other = read[IMAGE].chunk(2)
        image, lam = self.mixed(own, other, seed=seed, index=index, view=view)
        label, partner_label = read[LABEL].chunk(2)
        return {IMAGE: image, LABEL: label, PARTNER_LABEL: partner_label, LAM: lam}

    def mixed(
        self, images: Tensor, others: Tensor, *, seed: int, index: Tensor, view: int
    ) -> tuple[Tensor, Tensor]:
        """The mixed images, and lambda of each.

        Args:
            images: of these rows under this view, normalised.
            others: of their partners, under the same view.
            seed, index, view: index on the CPU.

        Shapes:
            images, others: float [B, C, H, W]; index: int64 [B]; returns [B, C, H, W] and float32
            [B] on the device of the images.

        >>> zeros, ones = torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4)
        >>> both = Mixing(0.0, 1.0, rows=9)
        >>> image, lam = both.mixed(zeros, ones, seed=0, index=torch.tensor([5]), view=0)
        >>> image.sum().item(), lam.item()
        (4.0, 0.75)
        """
        height, width = images.shape[-2:]
        share, boxes = self._drawn((height, width), seed=seed, index=index, view=view)
        area = boxes[:, 2] * boxes[:, 3]
        lam = torch.where(area > 0, 1 - area.double() / (height * width), share)
        where = images.device
        result = images
        if self.mixup:
            mine = share.float().to(where, non_blocking=True)[:, None, None, None]
            # Two products and a sum, each rounded by itself: one fused operation rounds the last
            # rows of a batch otherwise than the first ones.
            result = images * mine + others * (1 - mine)
        if self.cutmix:
            hit = inside(boxes.to(where, non_blocking=True), (height, width))
            result = torch.where(hit[:, None], others, result)
        return result, lam.float().to(where, non_blocking=True)

    def _drawn(
        self, size: tuple[int, int], *, seed: int, index: Tensor, view: int
    ) -> tuple[Tensor, Tensor]:
        """Lambda of mixup (1 where a row has CutMix), float64 [B], and boxes of CutMix, else empty.

        Boxes are int64 [B, 4]: top, left, height, width.
        """
        kind, radius, angle, *middle = uniforms(seed, index, view, _DRAWS).double()
        by_box = (kind < 0.5) if self.mixup and self.cutmix else torch.full_like(
            kind, bool(self.cutmix), dtype=torch.bool)  # fmt: skip
        box, blend = (
            symmetric_beta(radius, angle, alpha) if alpha else radius  # of which no row is made
            for alpha in (self.cutmix, self.mixup)
        )
        lam = torch.where(by_box, box, blend)
        sides = []
        for at, side in zip(middle, size, strict=True):
            half = (side * torch.sqrt(1 - lam)).long() // 2
            first, last = (at * side).long() - half, (at * side).long() + half
            sides.append((first.clamp_min(0), last.clamp_max(side)))
        (top, bottom), (left, right) = sides
        boxes = torch.stack([top, left, bottom - top, right - left], 1)
        return torch.where(by_box, 1.0, lam), boxes * by_box[:, None]


def symmetric_beta(radius: Tensor, angle: Tensor, alpha: float) -> Tensor:
    """Numbers distributed as Beta(alpha, alpha), two uniform ones for each, exactly and at once.

    ``1/2 + sign(c)/2 * sqrt(w c^2 / (1 + w c^2))`` with ``w = radius^(-1/alpha) - 1`` and
    ``c = cos(2 pi angle)``: Student's t of 2 alpha degrees of freedom (Bailey, Mathematics of
    Computation 62, 1994) seen as a beta variable. Rounded to 1 / 65,536.

    Shapes:
        radius, angle: float64 [B] in [0, 1); returns float64 [B].

    >>> symmetric_beta(torch.tensor([0.25]).double(), torch.tensor([0.0]).double(), 1.0).item()
    0.933013916015625
    """
    logs = torch.log(radius) / alpha
    spread, cosine = -torch.expm1(logs), torch.cos(2 * torch.pi * angle)
    moved = spread * cosine**2
    share = torch.sqrt(moved / (torch.exp(logs) + moved))
    return torch.round((0.5 + 0.5 * torch.sign(cosine) * share) * _STEPS) / _STEPS
