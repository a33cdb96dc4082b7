"""What the tests of teacher caches share."""

import sys

import pytest
from tiny import tiny_net

from stillhouse.engine.nodes import Role


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixteen samples per shard: the forty rows of the table make three shards of a view."""
    monkeypatch.setattr(sys.modules["stillhouse.cache.record"], "ROWS_PER_SHARD", 16)


@pytest.fixture
def role() -> Role:
    return Role("teacher", tiny_net(4, 2))
