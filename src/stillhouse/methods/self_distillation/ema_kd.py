"""A student that learns from the running mean of itself."""

from torch import nn

from stillhouse.engine.nodes import Ema
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.terms import OverTraining, Term
from stillhouse.functional import kl
from stillhouse.methods.roles import as_role, label_term
from stillhouse.methods.settings import Positive, Share, Weight, checked
from stillhouse.models.given import copied

MEAN = "mean"


@checked
def ema_kd(
    student: nn.Module,
    *,
    decay: Share = 0.99,
    temperature: Positive = 4.0,
    weight: Weight = 1.0,
    ramp: Share = 0.3,
    label_weight: Weight = 1.0,
) -> Stage:
    """Self-distillation from a mean teacher: what the student was over the last steps, on average.

    ``label_weight * CE(p_s, y) + w * T^2 KL(p_mean^T, p_s^T)`` with
    ``w = weight * min(t / ramp, 1)``, t the share of the training that is done. The mean starts as
    the student does, follows by ``m <- decay * m + (1 - decay) * s`` after each step and answers in
    eval mode, on the same view of the image. It is measured, and handed over, too.

    Args:
        student: the learner; any classifier.
        decay: of the mean: it averages about 1 / (1 - decay) steps, few beside those of the whole
            training. 0.99: our choice; 0.999 for long ones.
        temperature: T > 0. 4.0: as in `kd`, our choice.
        weight: of the KL, once it has grown. 1.0: our choice.
        ramp: share of the training in which the weight grows from 0: the mean of an untrained
            student has nothing to say. 0.3: our choice; 0 for none.
        label_weight: of the cross-entropy. 1.0: our choice.

    Returns:
        A stage that keeps the student; its product 'mean' is the mean, in the same class.

    Raises:
        RecipeError: a setting is out of its range.

    Paper: Tarvainen & Valpola 2017, arXiv 1703.01780: "Mean teachers are better role models:
        Weight-averaged consistency targets improve semi-supervised deep learning results".

    Differs from the authors' code: theirs is semi-supervised, both sides see the image under noise
        of their own, and the distance is a squared error of probabilities; only the mean is theirs
        here. Its settings were not compared.

    >>> stage = ema_kd(nn.Linear(4, 2), ramp=0.5)
    >>> [term.weight_at(25.0, 100.0) for term in stage.terms()]
    [1.0, 0.5]
    """
    role = as_role("student", student)
    mean = Ema(MEAN, role, decay=decay)
    soft = Term(
        "kd",
        kl,
        ["student.logits", f"{MEAN}.logits"],
        weight=OverTraining(lambda share: weight * (min(share / ramp, 1.0) if ramp else 1.0)),
        options={"temperature": temperature},
        bound=True,  # at the start student and target are one network
    )
    return Stage(
        "ema_kd",
        nodes=[role, mean],
        updates=[Update("student", [label_term(label_weight), soft])],
        measures={"student": "student.logits", MEAN: f"{MEAN}.logits"},
        products={MEAN: lambda: copied(mean.module)},
    )
