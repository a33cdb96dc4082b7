"""Match: pairs of layers in order of depth, by resolution or by similarity, and how they look."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import log2

import torch.nn.functional as F
from torch import Tensor, nn

from stillhouse.bridges.shapes import as_map
from stillhouse.pairing.levels import Level, heard_maps, levels
from stillhouse.representations.likeness import linear_cka

POSITIONS = 4
"""Maps are averaged to at most so many positions each way before they are compared."""
NEARER = 1e-4
"""What a factor of two in resolution costs, in likeness: enough to settle what is equal."""


def propose(
    student: nn.Module,
    teacher: nn.Module,
    image: Tensor,
    *,
    by: str = "levels",
    teacher_image: Tensor | None = None,
) -> tuple[tuple[str, str], ...]:
    """Pairs of taps, student first, from the image to the head.

    levels: the last map of each network at each resolution, matched by resolution. auto: the
    student's levels, each with that map of the teacher, at any depth, to which it is most alike
    (linear CKA), so that the order of depth holds and the sum of likenesses is the largest; of
    equally like ones, such as a map and its average over 2 x 2, the one of its resolution. The
    student is compared as it is: untrained, its maps tell what its structure hears of the image.

    Args:
        student, teacher: any models of images; only listened to, in eval mode.
        image: some images, as the student reads them; for 'auto' take a hundred.
        by: 'levels' or 'auto'.
        teacher_image: the same images as the teacher reads them, where that differs.

    Raises:
        ModelError: a model gives no maps, or does not take the images.

    >>> import torch
    >>> from stillhouse.models import build_model
    >>> small, large = build_model("resnet8", classes=10), build_model("wrn_16_2", classes=10)
    >>> propose(small, large, torch.zeros(2, 3, 32, 32))
    (('layer1', 'layer1'), ('layer2', 'layer2'), ('layer3', 'layer3'))
    """
    shown = image if teacher_image is None else teacher_image
    mine = levels(student, image)
    if by == "levels":
        theirs = levels(teacher, shown)
        found = in_order(mine, theirs, nearness)
        return tuple((a.tap, b.tap) for a, b in found)
    heard, known = heard_maps(student, image), heard_maps(teacher, shown)
    places = [Level(tap, tuple(x.shape[1:])) for tap, x in known.items()]
    score = _remembered(lambda a, b: likeness(heard[a.tap], known[b.tap]) + NEARER * nearness(a, b))
    return tuple((a.tap, b.tap) for a, b in in_order(mine, places, score))


def nearness(a: Level, b: Level) -> float:
    """How near two resolutions are: 0 for equal ones, -1 for each factor of two.

    >>> nearness(Level("x", (8, 16, 16)), Level("y", (8, 8, 8)))
    -2.0
    """
    return -abs(log2(a.resolution / b.resolution))


def likeness(a: Tensor, b: Tensor) -> float:
    """Linear CKA of two maps, each position of each image as a sample of its channels.

    Shapes:
        a, b: [B, C, H, W] or [B, N, D], each of its own size.

    >>> import torch
    >>> x = torch.randn(8, 3, 4, 4)
    >>> round(likeness(x, 2 * x.flip(1)), 4)
    1.0
    """
    a, b = as_map(a), as_map(b)
    size = min(a.shape[2], b.shape[2], POSITIONS), min(a.shape[3], b.shape[3], POSITIONS)
    rows = [
        F.adaptive_avg_pool2d(x.float(), size).permute(0, 2, 3, 1).flatten(0, 2) for x in (a, b)
    ]
    return linear_cka(*rows)


def in_order(
    mine: Sequence[Level], theirs: Sequence[Level], score: Callable[[Level, Level], float]
) -> list[tuple[Level, Level]]:
    """As many pairs as the shorter list allows, none crossing another, of the largest sum.

    Of equal sums the deeper layers win.

    >>> a, b, c = (Level(name, (1, size, size)) for name, size in zip("abc", (8, 4, 2)))
    >>> [(x.tap, y.tap) for x, y in in_order([a, c], [a, b, c], nearness)]
    [('a', 'a'), ('c', 'c')]
    """
    if len(mine) > len(theirs):
        return [(a, b) for b, a in in_order(theirs, mine, lambda b, a: score(a, b))]
    spare = len(theirs) - len(mine)
    best: list[tuple[float, tuple[int, ...]]] = [(0.0, ())] * (spare + 1)
    for at, level in enumerate(mine):  # best[k]: the first levels, with k of theirs passed over
        gains = [score(level, theirs[at + k]) for k in range(spare + 1)]
        best = [
            max(
                ((best[j][0] + gains[k], (*best[j][1], at + k)) for j in range(k + 1)),
                key=lambda found: (round(found[0], 9), found[1]),
            )
            for k in range(spare + 1)
        ]
    _, chosen = max(best, key=lambda found: (round(found[0], 9), found[1]))
    return [(a, theirs[k]) for a, k in zip(mine, chosen, strict=True)]


@dataclass(frozen=True)
class ProposedPair:
    """A tap of the student and one of the teacher, and how alike their maps are (linear CKA)."""

    by: str
    mine: str
    theirs: str
    my_shape: tuple[int, ...]
    their_shape: tuple[int, ...]
    likeness: float


def proposals(
    student: nn.Module, teacher: nn.Module, image: Tensor, *, teacher_image: Tensor | None = None
) -> list[ProposedPair]:
    """The pairs by resolution and by likeness, with what speaks for each.

    Raises:
        ModelError: a model gives no maps, or does not take the images.

    >>> import torch
    >>> from stillhouse.models import build_model
    >>> small, large = build_model("resnet8", classes=4), build_model("resnet14", classes=4)
    >>> pair = proposals(small, large, torch.randn(4, 3, 32, 32))[0]
    >>> pair.by, pair.mine, pair.theirs, pair.their_shape
    ('levels', 'layer1', 'layer1', (16, 32, 32))
    """
    shown = image if teacher_image is None else teacher_image
    mine, theirs = heard_maps(student, image), heard_maps(teacher, shown)
    found = []
    for by in ("levels", "auto"):
        for a, b in propose(student, teacher, image, by=by, teacher_image=teacher_image):
            shapes = tuple(mine[a].shape[1:]), tuple(theirs[b].shape[1:])
            found.append(ProposedPair(by, a, b, *shapes, likeness(mine[a], theirs[b])))
    return found


def _remembered(score: Callable[[Level, Level], float]) -> Callable[[Level, Level], float]:
    known: dict[tuple[Level, Level], float] = {}

    def ask(a: Level, b: Level) -> float:
        if (a, b) not in known:
            known[a, b] = score(a, b)
        return known[a, b]

    return ask
