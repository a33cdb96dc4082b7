import random

import numpy as np
import pytest
import torch
from PIL import Image

from stillhouse.data.tables import CHUNK_VALUES, FloatTable, ImageTable, SampleTable
from stillhouse.errors import DataError


def some_images(n=20, h=5, w=4, c=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (n, h, w, c), dtype=torch.uint8, generator=generator)
    return ImageTable(images, torch.arange(n) % 4)


def test_mean_std_is_that_of_numpy_in_float64():
    table = some_images()
    values = table.images.numpy().astype(np.float64) / 255
    mean, std = table.mean_std()
    assert mean == pytest.approx(values.mean((0, 1, 2)), abs=1e-12)
    assert std == pytest.approx(values.std((0, 1, 2)), abs=1e-12)


def test_mean_std_is_the_same_in_many_chunks(monkeypatch):
    table = some_images()
    whole = table.mean_std()
    monkeypatch.setattr("stillhouse.data.tables.CHUNK_VALUES", 130)  # two images at a time
    assert CHUNK_VALUES > 130
    assert table.mean_std() == whole


def test_mean_of_nothing_is_an_error():
    with pytest.raises(DataError, match="empty table"):
        some_images().take(torch.zeros(0, dtype=torch.int64)).mean_std()


def test_take_gives_rows_in_the_order_asked():
    table = some_images()
    taken = table.take(torch.tensor([7, 2]))
    assert len(taken) == 2
    assert torch.equal(taken.images, torch.stack([table.images[7], table.images[2]]))
    assert taken.labels.tolist() == [3, 2]
    assert (taken.height, taken.width, taken.channels) == (5, 4, 3)


def test_fingerprint_of_images_sees_pixels_labels_order_and_shape():
    table = some_images()
    mark = table.fingerprint()
    assert mark == some_images().fingerprint()
    images = table.images.clone()
    images[10, 3, 2, 1] ^= 1
    labels = table.labels.clone()
    labels[5] = 0
    others = [
        ImageTable(images, table.labels),
        ImageTable(table.images, labels),
        table.take(torch.arange(19, -1, -1)),
        ImageTable(table.images.reshape(20, 4, 5, 3), table.labels),
        table.take(torch.zeros(0, dtype=torch.int64)),
    ]
    marks = {other.fingerprint() for other in others}
    assert len(marks) == len(others)
    assert mark not in marks


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (torch.zeros(2, 3, 3, 1), torch.arange(2), "torch.float32"),
        (torch.zeros(2, 3, 3, dtype=torch.uint8), torch.arange(2), "uint8 images"),
        (torch.zeros(2, 3, 4, 4, dtype=torch.uint8).permute(0, 2, 3, 1), torch.arange(2), "contig"),
        (torch.zeros(2, 3, 3, 1, dtype=torch.uint8), torch.arange(3), "2 images but 3 labels"),
        (torch.zeros(2, 3, 3, 1, dtype=torch.uint8), torch.zeros(2).int(), "labels must be int64"),
    ],
)
def test_image_table_refuses(images, labels, message):
    with pytest.raises(DataError, match=message):
        ImageTable(images, labels)


def test_sample_table_refuses_rows_that_do_not_fit():
    with pytest.raises(DataError, match="3 rows but 2 labels"):
        SampleTable([1, 2, 3], torch.arange(2), torch.arange(3))
    with pytest.raises(DataError, match="rows must be int64"):
        SampleTable([1, 2, 3], torch.arange(3), torch.zeros(3))


class Noisy:
    """Draws from all three global generators, as users' transforms do."""

    def __len__(self):
        return 3

    def __getitem__(self, row):
        return torch.rand(2, 2) + random.random() + np.random.rand(), row


def test_take_twice_reads_the_right_sample():
    samples = [(np.full((2, 2, 1), row), row % 2) for row in range(6)]
    table = SampleTable(samples, torch.arange(6) % 2, torch.arange(6))
    nested = table.take(torch.tensor([5, 3, 0])).take(torch.tensor([1, 2]))
    assert [int(nested.read(i)[0, 0, 0]) for i in range(2)] == [3, 0]
    assert nested.labels.tolist() == [1, 0]


def test_fingerprint_of_samples_is_steady_and_leaves_the_generators_alone():
    table = SampleTable(Noisy(), torch.arange(3), torch.arange(3))
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    expected = (random.random(), np.random.rand(), torch.rand(()).item())
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    assert table.fingerprint() == table.fingerprint()
    assert (random.random(), np.random.rand(), torch.rand(()).item()) == expected


@pytest.mark.parametrize(
    "image",
    [
        lambda value: np.full((2, 2, 1), value, dtype=np.uint8),
        lambda value: torch.full((1, 2, 2), value / 10),
        lambda value: Image.new("L", (2, 2), value),
    ],
)
def test_fingerprint_of_samples_sees_ends_rows_and_labels(image):
    def table(values, labels=(0, 1, 0), rows=(0, 1, 2)):
        samples = [(image(value), 0) for value in values]
        return SampleTable(samples, torch.tensor(labels), torch.tensor(rows)).fingerprint()

    marks = [
        table([1, 2, 3]),
        table([9, 2, 3]),
        table([1, 2, 9]),
        table([1, 2, 3], labels=(0, 1, 1)),
        table([1, 2, 3], rows=(0, 2, 2)),
    ]
    assert len(set(marks)) == len(marks)
    assert table([1, 2, 3]) == marks[0]


def test_fingerprint_asks_a_dataset_that_has_one():
    class Telling(list):
        def fingerprint(self):
            return self.text

    table = SampleTable(Telling([(None, 0)] * 2), torch.arange(2), torch.arange(2))
    table.dataset.text = "a"
    first = table.fingerprint()
    table.dataset.text = "b"
    assert table.fingerprint() != first


def test_a_float_table_is_taken_as_it_is():
    images = torch.randn(6, 5, 4, 3) * 30
    table = FloatTable(images, torch.arange(6) % 2)
    assert table.mean_std() == ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    taken = table.take(torch.tensor([4, 1]))
    assert isinstance(taken, FloatTable)
    assert torch.equal(taken.images, images[[4, 1]])
    assert table.fingerprint() != FloatTable(images + 1e-6, table.labels).fingerprint()


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (torch.zeros(2, 4, 4, 1, dtype=torch.uint8), "float32"),
        (torch.zeros(2, 4, 4), "float32"),
        (torch.zeros(2, 3, 4, 4).permute(0, 2, 3, 1), "contiguous"),
        (torch.full((2, 4, 4, 1), float("inf")), "nan or inf"),
        (torch.zeros(3, 4, 4, 1), "3 images but 2 labels"),
    ],
)
def test_a_float_table_refuses(images, said):
    with pytest.raises(DataError, match=said):
        FloatTable(images, torch.zeros(2, dtype=torch.int64))
