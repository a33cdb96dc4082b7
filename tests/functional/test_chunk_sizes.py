"""Formulas in pieces: no tensor is larger than a chunk, counted operation by operation."""

import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from stillhouse.functional import cross_entropy, decoupled_kl, kl, numerics, rkd_angle, rkd_distance

Loss = Callable[..., Tensor]


class Made(TorchDispatchMode):
    """Notes the size of every tensor that is made, which are above a chunk, and what is alive."""

    def __init__(self, *inputs: Tensor) -> None:
        super().__init__()
        self.sizes: list[int] = []
        self.large: set[int] = set()
        self.operations: set[str] = set()
        self.alive: dict[int, int] = {x.untyped_storage()._cdata: 0 for x in inputs}
        self.most = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        self.operations.add(func._overloadpacket.__name__)
        for x in (x for x in tree_leaves(made) if isinstance(x, Tensor)):
            self.sizes.append(x.numel())
            if x.numel() > numerics.CHUNK:
                self.large.add(x.data_ptr())
            self._watch(x.untyped_storage())
        self.most = max(self.most, sum(self.alive.values()))
        return made

    def _watch(self, storage: torch.UntypedStorage) -> None:
        if storage._cdata not in self.alive:
            self.alive[storage._cdata] = storage.nbytes()
            weakref.finalize(storage, self.alive.pop, storage._cdata)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("loss", [cross_entropy, kl, decoupled_kl])
def test_no_tensor_over_many_classes_is_larger_than_a_chunk(loss: Loss, dtype: torch.dtype) -> None:
    """But one: the gradient of the logits, in their own dtype."""
    student, teacher = (torch.randn(300, 20_000).to(dtype) for _ in range(2))
    label = torch.arange(300)
    targets = {kl: [teacher], decoupled_kl: [teacher, label]}.get(loss, [label])
    student.requires_grad_()
    with Made() as made:
        (gradient,) = torch.autograd.grad(loss(student, *targets).sum(), student)
    assert gradient.dtype == dtype
    assert "_log_softmax_backward_data" in made.operations, "backward was watched too"
    assert made.large == {gradient.data_ptr()}
    assert sum(size > numerics.CHUNK for size in made.sizes) == 1, "made once, written in place"
    assert max(size for size in made.sizes if size <= numerics.CHUNK) == 37 * 20_000, "an eighth"


@pytest.mark.parametrize("loss", [cross_entropy, kl, decoupled_kl])
def test_all_that_is_alive_at_once_is_the_logits_twice(loss: Loss) -> None:
    """Their gradient and, of the pieces, less than an eighth part each; in one piece: 3 to 7."""
    student, teacher, label = torch.randn(320, 20_000), torch.randn(320, 20_000), torch.arange(320)
    targets = {kl: [teacher], decoupled_kl: [teacher, label]}.get(loss, [label])
    student.requires_grad_()
    with Made(student, *targets) as made:
        torch.autograd.grad(loss(student, *targets).sum(), student)
    assert student.nbytes < made.most <= 2 * student.nbytes


@pytest.mark.parametrize("loss", [cross_entropy, kl, decoupled_kl])
def test_a_chunk_does_not_grow_with_the_batch(loss: Loss, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numerics, "CHUNK", 30_000)
    for rows, pieces in {16: 2, 24: 3, 64: 3}.items():
        student, teacher = (torch.randn(rows, 10_000) for _ in range(2))
        label = torch.arange(rows)
        targets = {kl: [teacher], decoupled_kl: [teacher, label]}.get(loss, [label])
        student.requires_grad_()
        with Made() as made:
            (gradient,) = torch.autograd.grad(loss(student, *targets).sum(), student)
        assert made.large == {gradient.data_ptr()}
        assert max(size for size in made.sizes if size != gradient.numel()) == pieces * 10_000


@pytest.mark.parametrize("loss", [rkd_distance, rkd_angle])
def test_no_tensor_over_pairs_is_larger_than_a_chunk(
    loss: Loss, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 32 embeddings of 48 numbers; in one piece there are 32 * 32 * 48."""
    student, teacher = torch.randn(32, 48, requires_grad=True), torch.randn(32, 48)
    monkeypatch.setattr(numerics, "CHUNK", 4 * 32 * 48)
    with Made() as made:
        torch.autograd.grad(loss(student, teacher), student)
    assert made.large == set()
    assert "cdist_backward" in " ".join(made.operations) or "bmm" in made.operations
