"""DeepInversion and its adaptive form: images whose statistics are those of the training data."""

from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from stillhouse.engine.optimisers import adamw
from stillhouse.engine.terms import Term
from stillhouse.methods.settings import Count, Decay, Positive, Weight, checked
from stillhouse.models import weights_fingerprint
from stillhouse.synthesis.inputs import RandomShift
from stillhouse.synthesis.inversion import Inversion
from stillhouse.synthesis.priors import (
    agreement,
    norm_term,
    pixel_norm,
    soft_cross_entropy,
    total_variation,
)
from stillhouse.synthesis.targets import Targets, one_hot_targets
from stillhouse.synthesis.teacher import FrozenTeacher


@checked
def deep_inversion(
    *,
    steps: Count = 1000,
    lr: Positive = 0.1,
    momentum: tuple[Decay, Decay] = (0.5, 0.99),
    label_weight: Weight = 1.0,
    bn: Weight = 10.0,
    tv: Weight = 1e-3,
    l2: Weight = 0.0,
    shift: bool = True,
    flip: bool = True,
    clip: bool = True,
    batch: Count = 256,
    compile: bool = False,
) -> Inversion:
    """DeepInversion: one class each, smooth, and with the statistics that batch norm remembers.

    ``CE(T(x), k) + bn * sum_l (|mu_l - mu| + |var_l - var|) + tv * TV(x) + l2 * |x|``

    Args:
        steps, lr, momentum: Adam. 1000, 0.1 and (0.5, 0.99): the CMI benchmark code.
        label_weight: of the cross-entropy. 1: the same.
        bn: of the batch-norm statistics; 0 for teachers without. 10: the same.
        tv: of the total variation. 1e-3: the same.
        l2: of the norm of all pixels. 0: the same.
        shift: show the teacher the batch rolled by up to an eighth of its sides.
        flip: and mirrored in half of the steps; leave it out where left and right matter.
        clip: keep pixels in the range that images have.
        batch: images that share their statistics: another number is another method. 256.
        compile: compile the step (not together with ``shift``).

    Paper: Yin et al., "Dreaming to Distill: Data-free Knowledge Transfer via DeepInversion", CVPR
        2020.

    Differs from the authors' code: see `total_variation`; one resolution; the images of the last
        step, not of the step with the lowest loss.

    >>> deep_inversion(bn=0.0).settings["bn"], deep_inversion().coupled
    (0.0, True)
    """

    def terms(teacher: FrozenTeacher) -> list[Term]:
        return _terms(teacher, label_weight=label_weight, bn=bn, tv=tv, l2=l2)

    settings = {"steps": steps, "lr": lr, "momentum": list(momentum), "label_weight": label_weight,
                "bn": bn, "tv": tv, "l2": l2, "shift": shift, "flip": flip, "clip": clip,
                "compile": compile}  # fmt: skip
    return Inversion(
        "deep_inversion",
        _one_hot,
        terms,
        steps,
        settings=settings,
        optimizer=adamw(lr, weight_decay=0.0, betas=momentum),
        start="gaussian",
        after_step=clip_to_range if clip else None,
        shift=RandomShift(flip=flip) if shift else None,
        batch=batch,
        coupled=True,
        compile=compile,
    )


def adi(*, student: nn.Module, adv: float = 1.0, **settings: Any) -> Inversion:
    """Adaptive DeepInversion: images that a student gets wrong.

    `deep_inversion` plus ``adv * (1 - JS(S(x), T(x)) / ln 2)``.

    Args:
        student: frozen; as far as it has been trained.
        adv: of the term. 1: the CMI benchmark code, which does not divide by ln 2.
        settings: as of `deep_inversion`.

    Paper: Yin et al., "Dreaming to Distill: Data-free Knowledge Transfer via DeepInversion", CVPR
        2020, section 3.3.

    Differs from the authors' code: see `agreement`.

    >>> adi(student=nn.Linear(1, 1), bn=1.0).settings["adv"]
    1.0
    """
    plain = deep_inversion(**settings)

    def terms(teacher: FrozenTeacher) -> list[Term]:
        apart = Term("adi", agreement, ["student.logits", "teacher.logits"], weight=adv,
                     through=True)  # fmt: skip
        return [*plain.terms(teacher), apart]

    own = {**plain.settings, "adv": adv, "student": weights_fingerprint(student)}
    return replace(plain, name="adi", terms=terms, student=student, settings=own)


def _terms(
    teacher: FrozenTeacher, *, label_weight: float, bn: float, tv: float, l2: float
) -> list[Term]:
    found = [
        Term("target", soft_cross_entropy, ["teacher.logits", "target"], weight=label_weight,
             options={"temperature": 1.0})
    ]  # fmt: skip
    if bn:
        found.append(norm_term(teacher.norms(), weight=bn))
    if tv:
        found.append(Term("tv", total_variation, ["pixels"], weight=tv))
    if l2:
        found.append(Term("l2", pixel_norm, ["pixels"], weight=l2))
    return found


def _one_hot(teacher: FrozenTeacher, count: int, _seed: int) -> Targets:
    return one_hot_targets(teacher.classes, count)


def clip_to_range(teacher: FrozenTeacher, images: Tensor, _targets: Targets) -> None:
    """Keep images, in place, where pixels of [0, 1] would be. Shapes: [B, C, H, W]."""
    mean, std = (teacher.per_channel(values, images) for values in (teacher.mean, teacher.std))
    images.copy_(images.clamp(-mean / std, (1 - mean) / std))
