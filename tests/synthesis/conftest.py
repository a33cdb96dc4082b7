"""Small classifiers that are quick to ask, and a kill at a chosen call."""

from collections.abc import Callable
from pkgutil import resolve_name

import pytest
from tiny import grey_net
from torch import nn


@pytest.fixture
def net() -> nn.Module:
    return grey_net()


@pytest.fixture
def norm_net() -> nn.Module:
    return grey_net(norm=True)


@pytest.fixture
def kill_at() -> Callable[..., None]:
    """Make a function fail, as a kill would, once it has been called so often."""

    def patch(patched: pytest.MonkeyPatch, owner: object, name: str, after: int) -> None:
        if isinstance(owner, str):
            owner = resolve_name(owner)
        real, left = getattr(owner, name), [after]

        def die(*args, **more):
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            return real(*args, **more)

        patched.setattr(owner, name, die)

    return patch
