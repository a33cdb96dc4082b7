"""FGD: maps are imitated in objects and around them apart, weighted by the teacher's attention."""

from torch import Size, Tensor, nn

from stillhouse.bridges.context import GlobalContext
from stillhouse.engine.nodes import Node
from stillhouse.engine.signals import IMAGE
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.terms import Term
from stillhouse.functional.foreground import focal_gap
from stillhouse.functional.frames import within
from stillhouse.methods.maps import aligned, with_more
from stillhouse.methods.roles import as_role, as_teacher, label_term
from stillhouse.methods.settings import Positive, Weight, checked
from stillhouse.pairing import Pair, Pairs, paired


class FocalGap(nn.Module):
    """`focal_gap` for images of one size."""

    def __init__(self, image: Size, **settings: float) -> None:
        super().__init__()
        self.image, self.settings = (int(image[-2]), int(image[-1])), settings

    def forward(
        self,
        student: Tensor,
        teacher: Tensor,
        label: Tensor,
        _image: Tensor,
        content: Tensor | None = None,
    ) -> Tensor:
        """One value for each example, [B]."""
        return focal_gap(student, teacher, label, self.image, content, **self.settings)


class ContextGap(nn.Module):
    """``|g_s(s) - g_t(t)|^2`` with a `GlobalContext` of each side, a sum over maps.

    Shapes:
        forward: two maps [B, C, H, W], and how much of its frame each image is [B, 2] -> [B].

    >>> import torch
    >>> x = torch.ones(2, 4, 3, 3)
    >>> ContextGap(x.shape)(x, x - 1).tolist()
    [36.0, 36.0]
    """

    def __init__(self, shape: Size) -> None:
        super().__init__()
        self.student, self.teacher = GlobalContext(shape), GlobalContext(shape)

    def forward(self, student: Tensor, teacher: Tensor, content: Tensor | None = None) -> Tensor:
        """One value for each example."""
        grid = int(student.shape[2]), int(student.shape[3])
        inside = None if content is None else within(content, grid)
        mine: Tensor = self.student(student, inside)
        theirs: Tensor = self.teacher(teacher, inside)
        gap = (mine - theirs).float().square()
        return (gap if inside is None else gap * inside).flatten(1).sum(1)


@checked
def fgd(
    student: nn.Module,
    teacher: nn.Module | Node,
    *,
    pairs: Pairs = "levels",
    foreground: Weight = 1e-3,
    background: Weight = 5e-4,
    attention: Weight = 5e-4,
    context: Weight = 5e-6,
    temperature: Positive = 0.5,
    label_weight: Weight = 1.0,
) -> Stage:
    """Focal and global distillation: objects and background apart, and each image as a whole.

    ``label_weight * L + sum_l (focal_l + context * |g_s(s) - g_t(t)|^2)`` over the pairs l of maps:
    focal is `stillhouse.functional.foreground.focal_gap` with the boxes of the label, g a
    `GlobalContext` of each side; L is the task's loss, of a detector its own. An image that is
    labelled by a class is one object that fills it.

    Args:
        student: the learner.
        teacher: frozen; a model or a node called 'teacher'.
        pairs: layers that belong together: 'levels' (the last map at each resolution; of a detector
            the levels of its pyramid), 'auto' (the most similar ones) or taps by name; see
            `stillhouse.pairing.propose`.
        foreground, background, attention: of the focal part. 1e-3, 5e-4, 5e-4: the released
            settings for RetinaNet and GFL; 1.6e-3, 8e-4, 8e-4 with temperature 0.8 for FCOS. All
            are sums over maps, so they go with the size of the images: scale them jointly.
        context: of the global part, which is left out at 0. 5e-6: the same; 8e-6 for FCOS.
        temperature: T > 0 of the attentions. 0.5: the same.
        label_weight: of the labelled term. 1.0: the same.

    Returns:
        A stage that keeps the student; the bridges 'aligned1', ... and the context of both sides
        learn with it.

    Raises:
        RecipeError: a setting is out of its range.
        ModelError: when layers are paired, a model gives no maps.

    Paper: Yang et al. 2022, arXiv 2111.11837: "Focal and Global Knowledge Distillation for
        Detectors".

    Differs from the authors' code: boxes are scaled as the map is, filling included, which has no
        part in the rest; a 1x1
        convolution and batch norm come between maps of two widths (there without norm); the
        student's neck and head do not start from the teacher's.

    >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))
    >>> stage = fgd(net, net, pairs=(("1", "1"),))
    >>> [(term.name, term.weight) for term in stage.terms()]
    [('label', 1.0), ('focal1', 1.0), ('context1', 5e-06)]
    """
    focal = {
        "foreground": foreground,
        "background": background,
        "attention": attention,
        "temperature": temperature,
    }

    def built(_mine: Size, _theirs: Size, _label: Size, image: Size, *_: Size) -> nn.Module:
        return FocalGap(image, **focal)

    def term(name: str, maps: tuple[str, str]) -> Term:
        return Term.sized(name, built, [*maps, "batch.label", IMAGE], framed=True)

    def with_context(mine: Size, *_: Size) -> nn.Module:
        return ContextGap(mine)

    def add(stage: Stage, found: tuple[Pair, ...]) -> Stage:
        whole = aligned(stage, found, term, name="focal")
        if not context:
            return whole
        terms = [
            Term.sized(
                f"context{number}",
                with_context,
                [f"aligned{number}", f"target{number}"],
                weight=context,
                framed=True,
            )
            for number in range(1, len(found) + 1)
        ]
        return with_more(whole, nodes=[], terms=terms)

    nodes = [as_role("student", student), as_teacher(teacher)]
    return paired(Stage("fgd", nodes, [Update("student", [label_term(label_weight)])]), pairs, add)
