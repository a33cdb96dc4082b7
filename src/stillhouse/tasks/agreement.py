"""Agreement of embeddings with the teachers' embeddings of the same images, and its record."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from stillhouse.records.answers import Answers
from stillhouse.records.figures import TableFigures
from stillhouse.records.metric import Metric
from stillhouse.representations.likeness import linear_cka, mean_cosine
from stillhouse.representations.neighbours import neighbour_overlap
from stillhouse.tasks.gains import gains_by_seed, network_figures

OVERLAP, CKA, COSINE = "neighbour overlap", "CKA", "cosine"
METRICS = (
    Metric(name=OVERLAP, unit="%", scale=100.0),
    Metric(name=CKA),
    Metric(name=COSINE),
)
MOST_ROWS = 4096
"""Rows of a table that are compared with each other, spread evenly: of more, all pairs cost more
than they tell."""
EMBEDDING = "embedding"


def of_teacher(name: str, at: int) -> str:
    """What a figure of one of several teachers is called, counted from 1.

    >>> of_teacher("CKA", 2)
    'CKA, teacher 2'
    """
    return f"{name}, teacher {at}"


def agreement(mine: Tensor, theirs: Tensor, *, neighbours: int) -> dict[str, float]:
    """The figures of a table of embeddings.

    Of several teachers each figure of each, and under the plain names the means over them;
    'cosine' is of those that are as wide as ``mine``, its mean where all are.

    Args:
        mine: [N, D].
        theirs: [N, E] of one teacher; of several [N, teachers, E], nan behind narrower ones.
        neighbours: how many nearest images are compared.

    >>> x = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
    >>> agreement(x, torch.stack([x, x], 1), neighbours=1)["neighbour overlap, teacher 2"]
    1.0
    """
    mine = _spread(mine)
    if theirs.ndim == 2:
        return _of_one(mine, _spread(theirs), neighbours)
    each = [
        _of_one(mine, rows[:, ~rows[0].isnan()], neighbours) for rows in _spread(theirs).unbind(1)
    ]
    means = {
        name: sum(one[name] for one in each) / len(each)
        for name in each[0]
        if all(name in one for one in each)
    }
    named = {of_teacher(n, at): v for at, one in enumerate(each, start=1) for n, v in one.items()}
    return means | named


def _of_one(mine: Tensor, theirs: Tensor, neighbours: int) -> dict[str, float]:
    found = {
        OVERLAP: float(neighbour_overlap(mine, theirs, k=neighbours).mean()),
        CKA: linear_cka(mine, theirs),
    }
    return found | ({COSINE: mean_cosine(mine, theirs)} if mine.shape == theirs.shape else {})


def _spread(rows: Tensor) -> Tensor:
    """At most `MOST_ROWS` of them, spread evenly."""
    if len(rows) <= MOST_ROWS:
        return rows
    return rows[torch.linspace(0, len(rows) - 1, MOST_ROWS).round().long()]


def agreement_figures(
    answers: Answers, of_table: Callable[[Mapping[str, Tensor], None], Mapping[str, float]]
) -> TableFigures | None:
    """The figures of all networks of a run, and the gain of the student over the control.

    Args:
        answers: the embedding of each row, with the teachers' as labels.
        of_table: measures one network.

    Returns:
        None where no embeddings are known.
    """
    label = answers.label
    if label is None:
        return None
    found = {
        key: of_table({EMBEDDING: said[EMBEDDING], "label": label}, None)
        for key, said in answers.of.items()
        if EMBEDDING in said
    }
    if not found:
        return None
    teachers = label.shape[1] if label.ndim == 3 else 1
    names = {name for one in found.values() for name in one}
    metrics = [metric for metric in _metrics(teachers) if metric.name in names]
    roles = dict.fromkeys(role for role, _ in found)
    whose = "the teacher has" if teachers == 1 else f"each of {teachers} teachers has"
    rows = min(len(label), MOST_ROWS)
    note = "Cosine is of embeddings that are equally wide."
    several = "Figures without a number are the means over the teachers." if teachers > 1 else ""
    return TableFigures(
        table="test",
        title="Agreement with the teacher" + ("s" if teachers > 1 else ""),
        about=f"The embeddings of {rows:,} images are compared with those that {whose} of them.",
        metrics=tuple(metrics),
        networks=tuple(
            network_figures(
                role, {seed: one for (known, seed), one in found.items() if known == role}
            )
            for role in roles
        ),
        gains=gains_by_seed(found, metrics),
        notes=tuple(filter(None, (several, note))),
    )


def _metrics(teachers: int) -> list[Metric]:
    numbers = range(1, teachers + 1) if teachers > 1 else ()
    return [
        metric if at is None else metric.model_copy(update={"name": of_teacher(metric.name, at)})
        for metric in METRICS
        for at in (None, *numbers)
    ]
