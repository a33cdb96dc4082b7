"""Pictures of the test rows that tell most, for the report, where the data allow pictures."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from stillhouse.data.views import PLAIN_VIEW
from stillhouse.diagnostics.disagreement import won_and_lost
from stillhouse.records.answers import Answers
from stillhouse.records.examples import Examples, write_examples
from stillhouse.runs.job.data import JobData
from stillhouse.runs.job.job import Job
from stillhouse.verification.pairs import Floats, Pairs, Whole, pair_cosines

SHOWN = 12
"""Rows on each side: what a reader looks at."""
SIDE = 96
"""Pixels of the longer side of a picture."""


def write_disagreements(job: Job, answers: Answers) -> None:
    """Write them beside the run.

    Nothing where the data allow no pictures, without a control, or where no row is right or wrong.
    """
    if not job.data.pictures:
        return
    found = worst_pairs(job, answers) if job.task.open_set else disagreements(job, answers)
    if found is not None:
        write_examples(job.out, found)


def disagreements(job: Job, answers: Answers) -> Examples | None:
    """The rows of which student and control say most differently, with their pictures."""
    mine, theirs = (answers.right(role, job.task.metric) for role in ("student", "control"))
    seeds = [seed for seed in mine if seed in theirs]
    if not seeds:
        return None
    sides = (torch.stack([known[seed] for seed in seeds]) for known in (mine, theirs))
    won, lost = (rows[:SHOWN] for rows in won_and_lost(*sides))
    return Examples(won, lost, pictures(job.data, won), pictures(job.data, lost))


def worst_pairs(job: Job, answers: Answers) -> Examples | None:
    """The pairs of test images that the student of the first seed is most wrong about."""
    known = answers.seeds("student", "embedding")
    pairs = job.data.test.pairs
    if not known or pairs is None:
        return None
    cosine = pair_cosines(known[min(known)].numpy(), pairs)
    other, same = np.flatnonzero(~pairs.same), np.flatnonzero(pairs.same)
    alike = other[np.argsort(-cosine[other], kind="stable")][:SHOWN]
    unlike = same[np.argsort(cosine[same], kind="stable")][:SHOWN]
    titles = ("Different people, taken for most alike", "One person, taken for least alike")
    return Examples(
        torch.from_numpy(alike),
        torch.from_numpy(unlike),
        _side_by_side(job.data, pairs, alike),
        _side_by_side(job.data, pairs, unlike),
        titles,
        (_cosines(cosine[alike]), _cosines(cosine[unlike])),
    )


def _cosines(values: Floats) -> tuple[str, ...]:
    return tuple(f"cosine {value:.2f}" for value in values)


def _side_by_side(data: JobData, pairs: Pairs, chosen: Whole) -> Tensor:
    """The two images of each pair as one picture, [n, 1 or 3, h, 2 w] uint8."""
    sides = [pictures(data, torch.from_numpy(rows[chosen])) for rows in (pairs.first, pairs.second)]
    return torch.cat(sides, 3)


def pictures(data: JobData, rows: Tensor) -> Tensor:
    """Test rows as a network sees them, as pictures: [n, 1 or 3, h, w] uint8.

    What a transform of the user's own made is stretched to the whole range of grey.
    """
    if not len(rows):
        return torch.zeros(0, 1, 1, 1, dtype=torch.uint8)
    test = data.test
    seen = test.show(rows, PLAIN_VIEW)["batch.image"].float().cpu()
    if data.transform is None and test.augment is not None:
        mean, std = (
            torch.tensor(v).view(1, -1, 1, 1) for v in (test.augment.mean, test.augment.std)
        )
        seen = seen * std + mean
    if data.transform is not None or seen.min() < -1e-3 or seen.max() > 1 + 1e-3:
        low, high = seen.amin((1, 2, 3), keepdim=True), seen.amax((1, 2, 3), keepdim=True)
        seen = (seen - low) / (high - low).clamp(min=1e-12)
    if seen.shape[1] not in (1, 3):
        seen = seen.mean(1, keepdim=True)
    scale = SIDE / max(seen.shape[2:])
    if scale < 1:
        seen = F.interpolate(seen, scale_factor=scale, mode="bilinear", antialias=True)
    return (255 * seen).round().clamp(0, 255).to(torch.uint8)
