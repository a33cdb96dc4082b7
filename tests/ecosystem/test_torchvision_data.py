"""Datasets of torchvision, whole and in parts, give the images and labels that they are."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import ConcatDataset, Dataset, Subset, random_split

from stillhouse.data import load
from stillhouse.data.samples import mean_std_of
from stillhouse.engine.platform import open_platform
from stillhouse.recipes.data import DataSection
from stillhouse.runs.job.data import open_data

pytestmark = pytest.mark.ecosystem


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of flat images: the grey of row i is 10 i."""
    for row in range(12):
        place = tmp_path / ("even", "odd")[row % 2]
        place.mkdir(exist_ok=True)
        Image.new("RGB", (6, 6), (10 * row,) * 3).save(place / f"{row:02}.png")
    return tmp_path


def shown(source: object) -> tuple[torch.Tensor, torch.Tensor, bool]:
    """All images of a dataset as a network sees them, by row, their labels; whether `auto` changes
    them in training."""
    section = DataSection(source="own", test=0, validation=0, workers=0)
    data = open_data(section, 4, open_platform(device="cpu", precision="fp32"), source=source)
    batches = list(data._plain(data.splits.train).once())
    images, labels, rows = (
        torch.cat([batch[f"batch.{name}"] for batch in batches])
        for name in ("image", "label", "index")
    )
    order = rows.argsort()
    return images[order], labels[order], data.augment.varies


def by_hand(dataset: Dataset, mean: float, std: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Pixels of 0 to 1, normalised; floats with mean 0 and std 1 as they are."""
    images, labels = [], []
    for row in range(len(dataset)):
        image, label = dataset[row]
        if not isinstance(image, torch.Tensor):
            image = torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255
        images.append((image - mean) / std)
        labels.append(label)
    return torch.stack(images), torch.tensor(labels)


def fake() -> Dataset:
    from torchvision.datasets import FakeData

    return FakeData(12, (3, 6, 6), num_classes=2)


def cifar(folder: Path) -> Dataset:
    """An object of torchvision's own class, without its download."""
    from torchvision.datasets import CIFAR10

    made = CIFAR10.__new__(CIFAR10)
    drawn = np.random.default_rng(0)
    made.root, made.train = str(folder), True
    made.transform = made.target_transform = None
    made.data = drawn.integers(0, 256, (12, 32, 32, 3), dtype=np.uint8)
    made.targets = [row % 2 for row in range(12)]
    made.classes, made.class_to_idx = ["cat", "dog"], {"cat": 0, "dog": 1}
    return made


def image_folder(folder: Path, *, floats: bool = False) -> Dataset:
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import ToTensor

    return ImageFolder(str(folder), transform=ToTensor() if floats else None)


WHOLE = {
    "FakeData": lambda folder: fake(),
    "ImageFolder": image_folder,
    "ImageFolder with ToTensor": lambda folder: image_folder(folder, floats=True),
    "CIFAR10": cifar,
}
PARTS = {
    "whole": lambda dataset: dataset,
    "Subset": lambda dataset: Subset(dataset, [0, 11, 3, 8]),
    "ConcatDataset": lambda dataset: ConcatDataset([dataset, Subset(dataset, [0, 11])]),
    "random_split": lambda dataset: random_split(
        dataset, [8, 4], generator=torch.Generator().manual_seed(2)
    )[0],
}


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("whole", WHOLE)
def test_images_and_labels_are_those_of_the_dataset(whole: str, part: str, folder: Path) -> None:
    dataset = PARTS[part](WHOLE[whole](folder))
    floats = "ToTensor" in whole
    images, labels, augmented = shown(dataset)
    wanted, wanted_labels = by_hand(dataset, *((0.0, 1.0) if floats else (0.5, 0.25)))
    assert torch.allclose(images, wanted, atol=1e-6)
    assert torch.equal(labels, wanted_labels)
    assert not augmented, "a dataset of one's own may augment by itself"


def test_the_names_of_classes_and_the_splits_are_kept(folder: Path) -> None:
    named = load(image_folder(folder), test=4, validation=2)
    assert named.classes == ("even", "odd")
    assert (len(named.train), len(named.validation), len(named.test)) == (6, 2, 4)
    given = load((cifar(folder), cifar(folder)), validation=2)
    assert given.classes == ("cat", "dog")
    assert (len(given.train), len(given.test)) == (10, 12)
    assert mean_std_of(given.train) == ((0.5,) * 3, (0.25,) * 3)


def test_other_labels_than_the_targets_are_read(folder: Path) -> None:
    from torchvision.datasets import ImageFolder

    turned = ImageFolder(str(folder), target_transform=lambda label: 1 - label)
    found = load(turned, test=0, validation=0)
    assert found.train.labels.tolist() == [1 - label for label in turned.targets]
    assert found.classes == ("0", "1")
    assert "were read" in found.notes[0]
