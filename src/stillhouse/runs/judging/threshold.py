"""The threshold of a verifying student: chosen on validation, measured on the test pairs."""

from collections.abc import Callable

import torch
from torch import Tensor

from stillhouse.data.batches import EVALUATION_BATCH, Batches
from stillhouse.data.views import PLAIN_VIEW
from stillhouse.deploy.threshold import AtThreshold, balanced_threshold, measured_at
from stillhouse.errors import DataError
from stillhouse.runs.job.job import Job
from stillhouse.tasks.verification import pairs_of
from stillhouse.verification.pairs import Pairs, pair_cosines

Embed = Callable[[Tensor], Tensor]
"""From normalised images [B, C, H, W] to embeddings [B, D]."""


def threshold_of(job: Job, embed: Embed) -> tuple[float, AtThreshold] | None:
    """Choose it by `balanced_threshold` on validation, else on the unseen people; never on test.

    None with a warning where there are no such people, or no two images of one of them.
    """
    held = {"validation": job.data.validation, "unseen": job.data.unseen}
    for name, table in held.items():
        if table is None:
            continue
        try:
            cosine, pairs = _compared(table, embed)
            threshold = balanced_threshold(cosine, pairs.same)
            chosen_on = f"{len(pairs):,} {name} pairs"
            return threshold, measured_at(threshold, *_compared(job.data.test, embed), chosen_on)
        except DataError as error:
            job.watcher.warn(f"student: no threshold from the {name} pairs: {error}")
            return None
    job.watcher.warn(
        "student: it is handed over without a threshold, which is chosen on people of validation, "
        "and there are none (data.validation)"
    )
    return None


def _compared(table: Batches, embed: Embed) -> tuple[Tensor, Pairs]:
    """The cosine of each pair of a table, and the pairs."""
    rows = list(torch.arange(len(table.table)).split(EVALUATION_BATCH))
    with torch.inference_mode():
        seen = table.shown(rows, PLAIN_VIEW)
        embedding = torch.cat([embed(batch["batch.image"].cpu()) for batch in seen])
    pairs = pairs_of(table.table.labels, table.pairs)
    return torch.from_numpy(pair_cosines(embedding.numpy(), pairs)), pairs
