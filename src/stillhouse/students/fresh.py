"""New values for all that a network has learnt, under a seed: its shape alone is taken over."""

from collections.abc import Callable

from torch import Tensor, nn

from stillhouse.engine.seeding import seeded
from stillhouse.errors import ModelError
from stillhouse.models.weights import he_normal_


def fresh_(module: nn.Module, *, seed: int) -> None:
    """Draw all parameters of a network anew, in place, and forget its running statistics.

    Convolutions are drawn as those of our own networks (He, by outputs), other layers by their
    own ``reset_parameters``.

    Args:
        module: of any layers of torch.
        seed: the same one gives the same values.

    Raises:
        ModelError: a module has parameters and no way to draw them; it is then as it was.

    >>> net = nn.Linear(3, 2)
    >>> fresh_(net, seed=1)
    >>> before = net.weight.clone()
    >>> fresh_(net, seed=1)
    >>> bool((net.weight == before).all())
    True
    """
    parts = [part for part in module.modules() if _own(part) or _statistics(part)]
    mute = [type(part).__name__ for part in parts if _reset(part) is None]
    if mute:
        raise ModelError(
            f"start: scratch cannot draw new values for {', '.join(sorted(set(mute)))}, which has "
            "parameters of its own and no reset_parameters(); add this method, or write "
            "start: teacher"
        )
    with seeded(seed, "network"):
        for part in parts:
            reset = _reset(part)
            if reset is not None:
                reset()
        for part in parts:
            if isinstance(part, nn.Conv2d):
                he_normal_(part)


def _own(part: nn.Module) -> list[nn.Parameter]:
    return list(part.parameters(recurse=False))


def _statistics(part: nn.Module) -> bool:
    """Whether it has running statistics, which are learnt as well."""
    return isinstance(getattr(part, "running_mean", None), Tensor)


def _reset(part: nn.Module) -> Callable[[], None] | None:
    for name in ("reset_parameters", "_reset_parameters"):
        found: Callable[[], None] | None = getattr(part, name, None)
        if callable(found):
            return found
    return None
