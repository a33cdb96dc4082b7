"""CRD: the student's embedding tells an image from those of other classes as the teacher's does."""

from dataclasses import replace

from torch import nn

from stillhouse.bridges.projectors import embedder
from stillhouse.engine.facts import Facts
from stillhouse.engine.nodes import Bridge, Node
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.terms import Term
from stillhouse.functional import kl
from stillhouse.losses import MemoryContrast
from stillhouse.methods.roles import as_role, as_teacher, label_term
from stillhouse.methods.settings import Count, Positive, Share, Weight, Width, checked


@checked
def crd(
    student: nn.Module,
    teacher: nn.Module | Node,
    *,
    weight: Weight = 0.8,
    negatives: Count = 16384,
    contrast_temperature: Positive = 0.07,
    momentum: Share = 0.5,
    width: Width = 128,
    label_weight: Weight = 1.0,
    kd_weight: Weight = 0.0,
    temperature: Positive = 4.0,
    student_head: str | None = None,
    head: str | None = None,
) -> Stage:
    """Contrastive representation distillation: one image, two embeddings, told from other images.

    ``label_weight * CE(p_s, y) + weight * (C_s + C_t) + kd_weight * T^2 KL(p_t^T, p_s^T)``, with
    ``C = -log h(i, i) - sum_n log(1 - h(i, n))``: the student's embedding against what is
    remembered of the teacher's, and the other way round, after a linear map each to one width and
    unit length. Both maps learn with the student and are dropped. Negatives are rows of other
    classes; see `stillhouse.losses.MemoryContrast`.

    Args:
        student: the learner; its embedding is the input of its head.
        teacher: frozen; a model or a node called 'teacher' that gives 'teacher.embedding', and
            'teacher.logits' where kd_weight is above 0.
        weight: of the contrast, summed over negatives and both sides as there. 0.8: the authors'
            CIFAR-100 benchmark.
        negatives: for each row, at least 1. 16384: the same.
        contrast_temperature: above 0. 0.07: the same.
        momentum: in 0..1, what the memory keeps of an embedding. 0.5: the same.
        width: of the space of both. 128: the same.
        label_weight: of the cross-entropy. 1.0: the same.
        kd_weight: of the KL. 0.0: the same; 1.0 is its 'CRD + KD'.
        temperature: T > 0 of the KL. 4.0: the same.
        student_head, head: paths of the classifiers; found when not named.

    Returns:
        A stage that keeps the student; the bridges 'embedded' and 'target' learn with it and are
        dropped. Its contrast is composed when the training rows are known (`Stage.completed`).

    Raises:
        RecipeError: a setting is out of its range.
        WiringError: a head is named for a teacher that comes as a node; or, when the stage is
            completed, nobody said how many training rows there are, or all have one label. Where
            only their number is known (``open(..., rows=50_000)``) each row is a class of its own:
            negatives are all other rows, as in the paper's equations.
        ModelError: no module of that name is there to be the head; or, when the stage is wired,
            none is named and the model has no Linear.

    Paper: Tian et al. 2020, arXiv 1910.10699: "Contrastive Representation Distillation".

    Differs from the authors' code: see `stillhouse.losses.MemoryContrast`; no other difference is
        known to us. Its default positives are the image itself ('exact'), as here.

    >>> from stillhouse.engine.facts import facts_of
    >>> from stillhouse.testing.toy import toy_batches
    >>> stage = crd(nn.Linear(4, 2), nn.Linear(6, 2), student_head="", head="")
    >>> [(term.name, term.weight) for term in stage.completed(facts_of(toy_batches())).terms()]
    [('label', 1.0), ('contrast', 0.8)]
    """
    terms = [label_term(label_weight)]
    if kd_weight:
        soft = {"temperature": temperature}
        both = ["student.logits", "teacher.logits"]
        terms.append(Term("kd", kl, both, weight=kd_weight, options=soft))
    embedded = ["embedded", "target"]

    def complete(known: Stage, facts: Facts) -> Stage:
        loss = MemoryContrast(
            facts.classes,
            width=width,
            negatives=negatives,
            temperature=contrast_temperature,
            momentum=momentum,
            seed=facts.seed,
        )
        reads = [*embedded, "batch.index"]
        contrast = Term("contrast", loss, reads, weight=weight, through=True)
        (update,) = known.updates
        return replace(known, updates=[replace(update, terms=[*update.terms, contrast])])

    mine, theirs = "student.embedding", "teacher.embedding"
    return Stage(
        "crd",
        nodes=[
            as_role("student", student, student_head),
            as_teacher(teacher, head),
            Bridge.sized("embedded", embedder(width), mine, by=mine),
            Bridge.sized("target", embedder(width), theirs, by=theirs),
        ],
        updates=[Update(learns=["student", *embedded], terms=terms)],
        complete=complete,
    )
