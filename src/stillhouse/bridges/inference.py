"""Models for inference by another head: plain modules that need no hooks and no bridge."""

import torch
from torch import Tensor, nn

from stillhouse.bridges.heads import mixture
from stillhouse.engine.taps import Taps, tap_problem
from stillhouse.errors import ModelError
from stillhouse.models.given import copied, distinct_tensors
from stillhouse.models.outputs import named_outputs


def with_head(model: nn.Module, path: str, head: nn.Module) -> nn.Module:
    """A copy of a model with another module in the place of its head.

    Args:
        model: copied with its hooks and flags, never edited.
        path: of the submodule that is replaced; "" means the whole model, so that a copy of the
            head is the result.
        head: copied too, so that the result shares no parameter with either.

    Raises:
        ModelError: the model has no module at that path.

    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    >>> with_head(model, "1", nn.Linear(4, 3))(torch.zeros(1, 2, 2)).shape
    torch.Size([1, 3])
    """
    fresh = copied(head)
    if not path:
        return fresh
    problem = tap_problem(model, path, who=type(model).__name__)
    if problem:
        raise ModelError(f"no place for another head: {problem}")
    made = copied(model)
    made.set_submodule(path, fresh)
    return made


def folded(bridge: nn.Module, head: nn.Linear) -> nn.Linear:
    """A head after a linear bridge, as one Linear: ``W = W_t A, b = W_t a + b_t``.

    The bridge is ``A z + a``, the head ``W_t z + b_t``; an Identity gives a copy of the head. The
    products are made in float64 and rounded once, to the dtype of the head.

    Shapes:
        bridge: from d_s to d_t; head: from d_t to C; the result: from d_s to C.

    Raises:
        ModelError: bridge or head is not what this algebra holds for, or their widths differ.

    >>> bridge, head = nn.Linear(3, 4), nn.Linear(4, 2)
    >>> z = torch.ones(1, 3)
    >>> torch.allclose(folded(bridge, head)(z), head(bridge(z)), atol=1e-6)
    True
    """
    if not is_plain(head):
        raise ModelError(f"only a plain Linear can be folded, and the head is a {_kind(head)}")
    if type(bridge) is nn.Identity:
        return copied(head)
    if not isinstance(bridge, nn.Linear) or not is_plain(bridge):
        raise ModelError(
            f"only a plain Linear or an Identity can be folded into a head, and the bridge is a "
            f"{_kind(bridge)}"
        )
    if bridge.out_features != head.in_features:
        raise ModelError(
            f"the bridge gives {bridge.out_features} features and the head takes {head.in_features}"
        )
    with torch.no_grad():
        return _product(bridge, head)


def _product(bridge: nn.Linear, head: nn.Linear) -> nn.Linear:
    matrix, shift, last = head.weight.double(), _bias(bridge), _bias(head)
    made: nn.Linear = nn.utils.skip_init(
        nn.Linear,
        bridge.in_features,
        head.out_features,
        bias=shift is not None or last is not None,
        device=head.weight.device,
        dtype=head.weight.dtype,
    )
    made.weight.copy_(matrix @ bridge.weight.to(matrix))
    bias = matrix.new_zeros(head.out_features)
    if shift is not None:
        bias += matrix @ shift.to(matrix)
    if last is not None:
        bias += last.to(matrix)
    room = _bias(made)
    if room is not None:
        room.copy_(bias)
    return made.train(head.training)


def _bias(linear: nn.Linear) -> Tensor | None:
    return linear.bias


def joined(bridge: nn.Module, head: nn.Module) -> nn.Module:
    """A copy of a head behind a copy of its bridge: one Linear where that is possible.

    Shapes:
        bridge: from d_s to d_t; head: from d_t to C; the result: from d_s to C, where the head is.

    >>> joined(nn.Linear(3, 4), nn.Linear(4, 2))
    Linear(in_features=3, out_features=2, bias=True)
    >>> len(joined(nn.ReLU(), nn.Linear(4, 2)))
    2
    """
    linear = type(bridge) is nn.Identity or is_plain(bridge)
    if linear and isinstance(head, nn.Linear) and is_plain(head):
        return folded(bridge, head)
    both = nn.Sequential(copied(bridge), copied(head))
    place = next((value.device for value in distinct_tensors(head).values()), None)
    return both if place is None else both.to(place)


def is_plain(module: nn.Module) -> bool:
    """Whether it computes ``W z + b`` and nothing else: a Linear, no subclass of it, no hooks.

    >>> is_plain(nn.Linear(2, 2)), is_plain(nn.utils.parametrizations.weight_norm(nn.Linear(2, 2)))
    (True, False)
    """
    return type(module) is nn.Linear and not module._forward_hooks and not module._forward_pre_hooks


def _kind(module: nn.Module) -> str:
    hooked = type(module) is nn.Linear
    return "Linear with hooks" if hooked else type(module).__name__


class MixtureHead(nn.Module):
    """Two heads on one embedding, mixed: ``log((1 - alpha) p_own + alpha p_other)``.

    See `mixture`, whose formula it is.

    Args:
        own, other: the heads; anything from an embedding to logits of the same classes.
        alpha: share of the other head, in 0..1.

    Shapes:
        [B, d] -> [B, C], log-probabilities in float32.

    >>> head = MixtureHead(nn.Linear(4, 2), nn.Linear(4, 2), 0.5)
    >>> round(head(torch.ones(1, 4)).exp().sum().item(), 4)
    1.0
    """

    def __init__(self, own: nn.Module, other: nn.Module, alpha: float) -> None:
        super().__init__()
        self.own = own
        self.other = other
        self._mix = mixture(alpha)

    def forward(self, embedding: Tensor) -> Tensor:
        """Log-probabilities of the mixture."""
        return self._mix(self.own(embedding), self.other(embedding))


class MixtureOfOutputs(nn.Module):
    """Two logits that a model returns, mixed: ``log((1 - alpha) p_own + alpha p_other)``.

    Args:
        model: copied; returns a tuple or a mapping.
        own, other: names of the two, as `stillhouse.models.outputs.named_outputs` gives them.
        alpha: share of the other, in 0..1.

    Shapes:
        what the model takes -> [B, C], log-probabilities in float32.

    Raises:
        ModelError: `forward` meets a model that does not return one of them.

    >>> class Two(nn.Module):
    ...     def forward(self, x):
    ...         return x, -x
    >>> MixtureOfOutputs(Two(), "0", "1", 0.5)(torch.tensor([[9.0, 0.0]])).exp().tolist()
    [[0.5, 0.5]]
    """

    def __init__(self, model: nn.Module, own: str, other: str, alpha: float) -> None:
        super().__init__()
        self.model = copied(model)
        self.names = (own, other)
        self._mix = mixture(alpha)

    def forward(self, x: Tensor) -> Tensor:
        """Log-probabilities of the mixture."""
        given = named_outputs(self.model(x))
        for name in self.names:
            if name not in given:
                there = ", ".join(given)
                raise ModelError(f"{type(self.model).__name__} gives no '{name}'; there is {there}")
        own, other = self.names
        return self._mix(given[own], given[other])


class TailModel(nn.Module):
    """A model that goes on elsewhere from a tap: ``tail(tap(image))``.

    Args:
        model: copied, never edited; what it does after the tap is not used.
        tap: such as 'layer3' or 'fc:in'.
        tail: from what is heard there to the result; copied too.

    Raises:
        ModelError: the model has no module at that tap.

    >>> model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 4))
    >>> TailModel(model, "0", nn.Linear(3, 5))(torch.ones(1, 2)).shape
    torch.Size([1, 5])
    """

    def __init__(self, model: nn.Module, tap: str, tail: nn.Module) -> None:
        super().__init__()
        problem = tap_problem(model, tap, who=type(model).__name__)
        if problem:
            raise ModelError(f"no place to go on from: {problem}")
        self.model = copied(model)
        self.tail = copied(tail)
        self._tap = tap

    def forward(self, image: Tensor) -> Tensor:
        """What the tail makes of the tap."""
        with Taps(self.model, [self._tap], who=type(self.model).__name__) as taps:
            self.model(image)
            value: Tensor = self.tail(taps.collect()[self._tap])
        return value
