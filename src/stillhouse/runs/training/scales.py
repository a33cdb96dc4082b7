"""Several teachers' embeddings brought to one scale, by statistics of the training rows."""

import torch
from torch import nn

from stillhouse.engine.embedders import Embedders
from stillhouse.errors import DataError, RunError
from stillhouse.representations.standardise import Standardised, phi_s
from stillhouse.runs.job.job import Job
from stillhouse.runs.job.targets import embeddings
from stillhouse.runs.job.teacher import Teacher
from stillhouse.runs.training.kept import kept

MOST_ROWS = 16384
"""Training rows, spread evenly, by which PHI-S is fitted: of more, a covariance gains little."""


def give_scales(job: Job, teacher: Teacher, module: nn.Module) -> None:
    """Fit the scale of each member of an ensemble of embedders; another teacher is left alone.

    One pass of each member over the training rows, not augmented and in float32, whose result is
    kept beside the shared teachers for other runs, seeds and ensembles.

    Args:
        job: whose training rows.
        teacher: how it was made.
        module: the teacher; its buffers are changed.

    Raises:
        RunError: embeddings that are not finite or do not vary.
    """
    if not isinstance(module, Embedders):
        return
    for at, (member, part) in enumerate(zip(teacher.members, module.members, strict=True)):
        give_scales(job, member, part)
        inner = member.inside(part)
        found = kept(
            job,
            member,
            inner,
            "phi-s",
            f"the scale of its embedding (PHI-S), by one pass over {_rows(job):,} training rows",
            lambda member=member, inner=inner: _fitted(job, member, inner),  # type: ignore[misc]
            head=member.section.head_now,
            rows=_rows(job),
        )
        module.fit(at, Standardised(found["mean"], found["rotation"], float(found["scale"])))


def _rows(job: Job) -> int:
    return min(len(job.data.splits.train), MOST_ROWS)


def _fitted(job: Job, member: Teacher, module: nn.Module) -> dict[str, torch.Tensor]:
    table = job.data.splits.train
    rows = torch.linspace(0, len(table) - 1, _rows(job)).round().long()
    home = next((each.device for each in module.parameters()), torch.device("cpu"))
    try:
        found = phi_s(embeddings(member.alone(module), job.data.plain(table.take(rows))))
    except DataError as error:
        raise RunError(f"{member.role}: no scale of its embedding: {error}") from error
    finally:
        module.to(home)
    return {"mean": found.mean, "rotation": found.rotation, "scale": torch.tensor([found.scale])}
