"""A loss on trial: random inputs, copies of modules, gradients."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

Kind = Literal["logits", "features", "labels"]

SHAPES: Mapping[str, tuple[int, ...]] = {"logits": (6, 5), "features": (6, 8), "labels": (6, 5)}


@dataclass(frozen=True)
class LossTrial:
    """A loss with inputs to try it on, and what it claims.

    >>> ones = torch.ones(1, 2)
    >>> trial = LossTrial(lambda s, t: (s - t).abs().sum(1), {}, (ones, ones))
    >>> trial.with_gradient(torch.tensor([[3.0, 0.0]]), ones)
    (tensor([3.]), tensor([[ 1., -1.]]))
    """

    loss: Callable[..., Tensor]
    options: Mapping[str, Any]
    inputs: tuple[Tensor, ...]
    zero: bool = False
    minimal: bool = False
    detaches: bool = False
    ordered: bool = False

    def fresh(self) -> Callable[..., Tensor]:
        """The loss with its settings; a module is copied, so that its memory starts anew."""
        loss = copy.deepcopy(self.loss) if isinstance(self.loss, nn.Module) else self.loss
        return partial(loss, **self.options)

    def value(self, *inputs: Tensor) -> Tensor:
        """The loss of these inputs."""
        return self.fresh()(*inputs)

    def with_gradient(self, *inputs: Tensor) -> tuple[Tensor, Tensor | None]:
        """The loss and the gradient of its sum in the first input."""
        student = inputs[0].clone().requires_grad_()
        value = self.value(student, *inputs[1:])
        if not value.requires_grad:
            return value, None
        (gradient,) = torch.autograd.grad(value.sum(), student, allow_unused=True)
        return value.detach(), gradient

    def each(self, change: Callable[[Tensor], Tensor]) -> tuple[Tensor, ...]:
        """All inputs changed in one way."""
        return tuple(change(value) for value in self.inputs)

    def floats(self, change: Callable[[Tensor], Tensor]) -> tuple[Tensor, ...]:
        """The inputs, of which class indices stay as they are."""
        return self.each(lambda value: change(value) if value.is_floating_point() else value)

    @property
    def equal(self) -> tuple[Tensor, ...]:
        """Inputs where every target is the student itself."""
        return self.floats(lambda _: self.inputs[0].clone())


def draw_inputs(names: Sequence[str], kind: Kind, shape: tuple[int, ...]) -> tuple[Tensor, ...]:
    """Random inputs for the positional parameters of a loss, the same ones each time.

    >>> [value.dtype for value in draw_inputs(["student", "label"], "labels", (6, 5))]
    [torch.float32, torch.int64]
    """
    made = torch.Generator().manual_seed(0)

    def draw(name: str) -> Tensor:
        if name == "label":
            return torch.randint(0, shape[1], shape[:1], generator=made)
        if name == "index":
            return torch.arange(shape[0])
        return 2.0 * torch.randn(shape, generator=made)

    second = "label" if kind == "labels" else "teacher"
    return tuple(draw(name) for name in ("student", second, *names[2:]))
