"""Loader and compute share the cores."""

from dataclasses import replace

import pytest
import torch
from tiny import tiny_net

from stillhouse.data.batches import Batches
from stillhouse.engine.platform import Platform
from stillhouse.engine.threads import chosen_workers, compute_threads, thread_budget
from stillhouse.engine.trainer import Settings, training
from stillhouse.methods import plain


@pytest.mark.parametrize("before", [1, 2, 16])
@pytest.mark.parametrize("workers", [0, 1, 2, 40])
def test_there_is_always_a_thread_to_compute_on(workers: int, before: int) -> None:
    threads = compute_threads(workers, before)
    assert 1 <= threads <= before
    assert threads + workers <= before + 1 or threads == 1


def test_threads_come_back_also_after_an_error(platform: Platform) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        with pytest.raises(ZeroDivisionError), thread_budget(3, platform):
            _ = 1 / (torch.get_num_threads() - 2)  # two are left of four
        assert torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(before)


def test_only_per_sample_loading_takes_threads(train: Batches, platform: Platform) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        for transform, threads in ((None, 4), (torch.Tensor.float, 3)):
            table = replace(train, workers=2, transform=transform)
            assert table.loading == (0 if transform is None else 2)
            with training(plain(tiny_net()), table, Settings(epochs=1), platform):
                assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


def test_an_accelerator_gets_loaders_and_the_cpu_none() -> None:
    assert chosen_workers(torch.device("cpu")) == 0
    assert 1 <= chosen_workers(torch.device("cuda")) <= 8
