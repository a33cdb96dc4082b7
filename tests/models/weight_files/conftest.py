"""Two networks of one kind with other values, and how a refusal is looked at."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from stillhouse.errors import WeightsError
from stillhouse.models import build_model, load_weights, weights_fingerprint


def network(seed: int, **asked: int) -> nn.Module:
    torch.manual_seed(seed)
    return build_model("convnet-4-8", **({"classes": 3} | asked))


@pytest.fixture
def source() -> nn.Module:
    return network(1)


@pytest.fixture
def target() -> nn.Module:
    return network(2)


@pytest.fixture
def refused() -> Callable[..., str]:
    """The message, after a look that nothing was copied."""

    def look(target: nn.Module, path: Path, **asked: str) -> str:
        before = weights_fingerprint(target)
        with pytest.raises(WeightsError) as caught:
            load_weights(target, path, **asked)
        assert weights_fingerprint(target) == before
        return str(caught.value)

    return look


@pytest.fixture
def taken(target: nn.Module, source: nn.Module) -> Callable[..., str]:
    """What is said of a file that gives the target the weights of the source."""

    def look(path: Path, **asked: str) -> str:
        assert weights_fingerprint(target) != weights_fingerprint(source)
        said = str(load_weights(target, path, **asked))
        assert weights_fingerprint(target) == weights_fingerprint(source)
        return said

    return look
