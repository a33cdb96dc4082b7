"""Small classifiers that are quick to ask."""

import pytest
from tiny import grey_net
from torch import nn


@pytest.fixture
def net() -> nn.Module:
    return grey_net()


@pytest.fixture
def norm_net() -> nn.Module:
    return grey_net(norm=True)
