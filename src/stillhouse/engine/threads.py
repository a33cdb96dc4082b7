"""One budget of threads for loader and compute: who asks for loaders says that loading decides."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from stillhouse.engine.platform import Platform

LARGEST_POOL = 8
"""Loader processes for an accelerator, at most: beyond that they rarely help and cost memory."""


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def chosen_workers(device: torch.device) -> int:
    """Loader processes where the recipe leaves it open, for transforms of single samples.

    An accelerator computes while the cores load. On the CPU both share the cores, and which
    division is fastest depends on which of the two is slow (benchmarks/results/loader.json).

    >>> chosen_workers(torch.device("cpu"))
    0
    """
    return 0 if device.type == "cpu" else min(LARGEST_POOL, max(cores() - 1, 1))


def compute_threads(workers: int, before: int) -> int:
    """Threads left for compute beside so many loader processes; one loader mostly waits.

    >>> compute_threads(0, 2), compute_threads(1, 2), compute_threads(2, 2), compute_threads(4, 16)
    (2, 2, 1, 13)
    """
    return max(1, min(before, before + 1 - workers))


@contextmanager
def thread_budget(workers: int, platform: Platform) -> Iterator[None]:
    """Compute on the threads that the loader leaves free; afterwards as before."""
    before = torch.get_num_threads()
    wanted = compute_threads(workers, before) if platform.device.type == "cpu" else before
    if wanted == before:
        yield
        return
    torch.set_num_threads(wanted)
    try:
        yield
    finally:
        torch.set_num_threads(before)
