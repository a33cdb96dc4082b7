"""What many tests share: tiny data, tiny models, one platform."""

from pathlib import Path

import pytest
import torch

from stillhouse.data.augment import Augment
from stillhouse.data.batches import Batches
from stillhouse.data.tables import ImageTable
from stillhouse.engine.platform import Platform, open_platform

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def platform() -> Platform:
    return open_platform(device="cpu", precision="fp32")


@pytest.fixture
def shared_data() -> Path:
    if not SHARED_DATA.is_dir():
        pytest.skip("the real data sets are not beside this checkout (../shared/data)")
    return SHARED_DATA


@pytest.fixture
def table() -> ImageTable:
    """Forty small colour images of three classes that differ in brightness."""
    made = torch.Generator().manual_seed(0)
    labels = torch.arange(40) % 3
    noise = torch.randint(0, 80, (40, 8, 8, 3), generator=made)
    return ImageTable((noise + 60 * labels[:, None, None, None]).to(torch.uint8), labels)


@pytest.fixture
def train(table: ImageTable) -> Batches:
    return Batches(table, Augment((0.5,) * 3, (0.25,) * 3, crop=1, flip=True), batch_size=8)
