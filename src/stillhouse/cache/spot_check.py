"""Spot checks: a few samples that are run again, to see that a teacher cache stands for the role.

A fingerprint knows weights, data and settings. It cannot know all code that a model or a transform
calls, nor each pixel of a dataset that is read from files, nor whether a model draws at random.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from stillhouse.cache.passes import Pass, running
from stillhouse.cache.storage import LOSSLESS, Storage
from stillhouse.cache.teacher_cache import TeacherCache
from stillhouse.data.batches import Batches
from stillhouse.engine.nodes import Node, Role
from stillhouse.engine.platform import Platform
from stillhouse.errors import CacheError

NEAR = 1e-2
"""Of the largest value, what another machine or library may change by rounding."""
NEAR_IN_HALF = 5e-2
"""The same where the role computes in half precision."""


def batch_problem(
    role: Role,
    parts: Sequence[str],
    train: Batches,
    platform: Platform,
    *,
    before: Sequence[Node] = (),
) -> str | None:
    """Why the signals of a sample are not its own; None when they are.

    Half a batch is run twice, beside other samples: batch statistics in eval mode and dropout that
    is never off show.
    """
    with running(role, parts, train, platform, before) as work:
        first = work.rows(0)
        half = (work.size + 1) // 2
        among_others = torch.where(torch.arange(work.size) < half, first, first[0])
        one, other = work.signals([first, among_others], 0)
        for part in parts:
            value, again = work.given(one, part), work.given(other, part)
            if _apart(value[:half].float(), again[:half].float()) > _near(platform):
                return (
                    f"'{role.name}.{part}' of a sample changes with the rest of its batch, or from "
                    "run to run, so it cannot be cached"
                )
    return None


def spot_check(work: Pass, cache: TeacherCache, storage: Mapping[str, Storage]) -> None:
    """Compare what was cached of some samples with what the role, opened, gives of them now.

    Raises:
        CacheError: they are not the same.
    """
    count, view = len(work.train.table), cache.views - 1
    rows = (torch.arange(work.size) * max(count // work.size, 1)).clamp_max(count - 1)
    given = next(iter(work.signals([rows], view)))
    for part, shards in cache.parts.items():
        kept = storage.get(part, LOSSLESS)
        value = work.given(given, part).detach().cpu()
        now = kept.decode(kept.encode(value), value.shape[1:])
        then = shards.gather(view, rows)
        if kept.top is not None:  # of two scores that nearly tie, either may be the last one kept
            now, then = now.sort(1).values, then.sort(1).values
        if now.shape != then.shape or _apart(then, now) > _near(work.platform):
            raise CacheError(
                f"{cache.directory}: what was cached as '{part}' of sample "
                f"{_worst(then, now, rows)}, view {view}, is not what '{work.role.name}' gives "
                "now: it draws at random, or something changed that no fingerprint sees (code "
                "that the model or a transform calls, pixels of a dataset); delete the directory, "
                "or run the teacher live (cache: never)"
            )


def _near(platform: Platform) -> float:
    return NEAR if platform.autocast_dtype is None else NEAR_IN_HALF


def _apart(one: Tensor, other: Tensor) -> float:
    """The largest difference, as a share of the largest value."""
    largest = float(one.abs().max())
    return float((one - other).abs().max()) / max(largest, 1e-30)


def _worst(then: Tensor, now: Tensor, rows: Tensor) -> int:
    if then.shape != now.shape:
        return int(rows[0])
    return int(rows[(then - now).abs().flatten(1).amax(1).argmax()])
