"""Fast-DFKD: a generator that learns to be adapted to each batch within a few steps."""

from typing import Annotated

from annotated_types import Ge, Le
from torch import nn

from stillhouse.engine.terms import Term
from stillhouse.errors import RecipeError
from stillhouse.methods.settings import Positive, Weight, checked
from stillhouse.synthesis.adapted import Adapted
from stillhouse.synthesis.adversary import conceded
from stillhouse.synthesis.generated import student_identity
from stillhouse.synthesis.held import Shifted
from stillhouse.synthesis.norm_average import NormAverage
from stillhouse.synthesis.origin import Rule
from stillhouse.synthesis.priors import soft_cross_entropy
from stillhouse.synthesis.subject import Subject

Count = Annotated[int, Ge(1)]


@checked
def fast_dfkd(
    *,
    student: str | nn.Module,
    inner: Count = 5,
    meta: Rule = "fomaml",
    lr_g: Positive = 5e-3,
    lr_z: Positive = 0.015,
    bn: Weight = 10.0,
    bn_momentum: Annotated[float, Ge(0), Le(0.999)] = 0.9,
    oh: Weight = 0.4,
    adv: Weight = 1.1,
    warmup: Annotated[int, Ge(0)] = 20,
    student_steps: Count = 400,
    student_lr: Positive = 1e-3,
    temperature: Positive = 20.0,
    shift: bool = True,
    flip: bool = True,
    batch: Count = 256,
    latent: Count = 256,
    width: Count = 64,
) -> Adapted:
    """Fast-DFKD: a generator adapted to each batch in a few steps, and learning from each.

    A copy G' of the generator and latent numbers z learn together, ``x = G'(z)``::

        bn * sum_l (|mu_l - mu| + |var_l - var|) + oh * CE(T(x), k)
            - adv * [argmax S(x) = argmax T(x)] * KL(T(x) || S(x))

    then the generator learns from the copy, and the student S from T on all images so far.

    Args:
        student: a model by name, or a module. Trained along, and kept beside the images.
        inner: steps of a batch. 5: of the paper's 2, 5 and 10.
        meta: 'fomaml' (the sum of the gradients of these steps) or 'reptile' (the way that the
            copy went). 'fomaml': the code.
        lr_g: of the copy; the generator's Adam has ``inner * lr_g``, as in the code. 5e-3: the code
            with 2 steps; with 5 it takes 3e-3, with 10 2e-3.
        lr_z: of the latent numbers. 0.015: the code with 2 steps; with 5 or 10 it takes 0.01.
        bn: of the batch-norm statistics; 0 for teachers without. 10: the code.
        bn_momentum: see `NormAverage`. 0.9: the code.
        oh: of the cross-entropy with the class asked for. 0.4: the code for a WRN-40-2.
        adv: see `conceded`; 0 to leave the student out of it. 1.1: the code for a WRN-40-2.
        warmup: batches before the student is trained and ``adv`` counts. 20: the code.
        student_steps: of the student after each batch. 400: the code.
        student_lr: Adam of the student. PyTorch's default.
        temperature: of the student's KL. 20: the code.
        shift, flip: as of `deep_inversion`.
        batch: images that are made together, and images of a student's step. 256: the code.
        latent, width: of the `Generator`. 256 and 64: the code.

    Raises:
        RecipeError: bn, oh and adv are all 0.

    Paper: Fang et al., "Up to 100x Faster Data-Free Knowledge Distillation", AAAI 2022.

    Differs from the authors' code: the images of a batch are those after the last step, not of the
        step with the lowest loss; classes in turn, not drawn; the whole batch is shifted alike; the
        generator's first layer is not reset half way; Reptile's gradient is not multiplied by 67
        (Adam divides it away); the student learns with Adam, not SGD with a cosine.

    >>> fast_dfkd(student="lenet5_half").settings["inner"]
    5
    """
    if not bn and not oh and not adv:
        raise RecipeError(
            "synthesis 'fast_dfkd'", ["bn, oh and adv are 0: nothing judges an image; raise one"]
        )

    def terms(subject: Subject) -> list[Term]:
        return _terms(subject, bn=bn, momentum=bn_momentum, oh=oh, adv=adv, warmup=warmup)

    settings = {"student": student_identity(student), "inner": inner, "meta": meta, "lr_g": lr_g,
                "lr_z": lr_z, "bn": bn, "bn_momentum": bn_momentum, "oh": oh, "adv": adv,
                "warmup": warmup, "student_steps": student_steps, "student_lr": student_lr,
                "temperature": temperature, "shift": shift, "flip": flip, "latent": latent,
                "width": width}  # fmt: skip
    return Adapted(
        "fast_dfkd",
        terms,
        student,
        settings,
        inner=inner,
        lr_g=lr_g,
        lr_z=lr_z,
        meta=meta,
        warmup=warmup,
        student_steps=student_steps,
        student_lr=student_lr,
        temperature_of_kd=temperature,
        shifted=Shifted(flip=flip) if shift else None,
        batch=batch,
        latent=latent,
        width=width,
    )


def _terms(
    subject: Subject, *, bn: float, momentum: float, oh: float, adv: float, warmup: int
) -> list[Term]:
    found = []
    if bn:
        paths, layers = zip(*subject.norms(), strict=True)
        reads = [f"teacher.{path}:in" for path in paths]
        distance = NormAverage(layers, momentum=momentum)
        found.append(Term("bn", distance, reads, weight=bn, through=True))
    if oh:
        reads = ["teacher.logits", "target"]
        found.append(Term("oh", soft_cross_entropy, reads, weight=oh, options={"temperature": 1.0}))
    if adv:
        # The epoch of an adapting stage is the number of its batch.
        def weight(batch: float) -> float:
            return adv if batch >= warmup else 0.0

        reads = ["student.logits", "teacher.logits"]
        found.append(Term("adv", conceded, reads, weight=weight, through=True))
    return found
