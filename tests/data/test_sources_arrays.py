import re

import numpy as np
import pytest

from stillhouse.data.sources.arrays import read_arrays
from stillhouse.data.sources.find import find
from stillhouse.errors import DataError

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 4, 5, 3), dtype=np.uint8)
LABELS = np.array([0, 1, 2] * 2)


def save(tmp_path, **arrays):
    np.savez(tmp_path / "some.npz", **arrays)
    return tmp_path / "some.npz"


@pytest.mark.parametrize(
    "names",
    [
        ("train_images", "train_labels", "val_images", "val_labels", "test_images", "test_labels"),
        ("x_train", "y_train", "x_val", "y_val", "x_test", "y_test"),
    ],
)
def test_splits(tmp_path, names):
    given = (IMAGES, LABELS, IMAGES[:2], LABELS[:2], IMAGES[2:], LABELS[2:, None])
    found = read_arrays(save(tmp_path, **dict(zip(names, given, strict=True))))
    assert list(found.parts) == ["train", "validation", "test"]
    assert np.array_equal(found.parts["test"].images.numpy(), IMAGES[2:])
    assert found.parts["test"].labels.tolist() == LABELS[2:].tolist()
    assert (found.name, found.classes) == ("some", ("0", "1", "2"))


def test_grey_without_channel_axis_and_text(tmp_path):
    path = save(tmp_path, images=IMAGES[..., 0], labels=np.array(["s10", "s9"] * 3))
    found = read_arrays(path)
    assert found.parts["train"].images.shape == (6, 4, 5, 1)
    assert found.classes == ("s9", "s10")
    assert found.parts["train"].labels.tolist() == [1, 0] * 3


FLOATS = IMAGES.astype(np.float32)
REFUSED = {
    "unit floats": (FLOATS / 255, LABELS, "They lie in [0, 1]: save (images * 255).round()"),
    "normalised": (FLOATS / 255 - 0.5, LABELS, "undo the normalisation"),
    "integers": (
        IMAGES.astype(np.int64),
        LABELS,
        "They lie in 0..255: save images.astype('uint8')",
    ),
    "text": (np.array(["a"] * 6), LABELS, "Save the pixels as numbers"),
    "channels first": (IMAGES.transpose(0, 3, 1, 2), LABELS, "images.transpose(0, 2, 3, 1)"),
    "flat": (IMAGES.reshape(6, -1), LABELS, "wanted is [N, H, W] or [N, H, W, C]"),
    "lengths": (IMAGES, LABELS[:5], "images has 6 rows, labels 5"),
    "one-hot": (IMAGES, np.eye(6), "argmax(1) for one-hot"),
    "gap": (IMAGES, LABELS * 2, "no row of class 1, 3;"),
    "negative": (IMAGES, LABELS - 1, "some.npz, train row 0: the label of train is -1"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refuses(tmp_path, case):
    images, labels, message = REFUSED[case]
    with pytest.raises(DataError, match=re.escape(message)):
        find(save(tmp_path, images=images, labels=labels), None, None, False)


def test_missing_arrays_are_named(tmp_path):
    with pytest.raises(DataError, match="has the arrays a, b; wanted is train_images/train_labels"):
        read_arrays(save(tmp_path, a=IMAGES, b=LABELS))
    with pytest.raises(DataError, match="no array 'y_train'; it has: x_train"):
        read_arrays(save(tmp_path, x_train=IMAGES))


def test_sizes_that_differ(tmp_path):
    path = save(tmp_path, x_train=IMAGES, y_train=LABELS, x_test=IMAGES[:, :2], y_test=LABELS)
    with pytest.raises(DataError, match=r"images of test are \[2, 5, 3\], those of train \[4, 5"):
        read_arrays(path)


def test_pickles_are_never_loaded(tmp_path):
    path = save(tmp_path, images=np.array([{"a": 1}], dtype=object), labels=LABELS)
    with pytest.raises(DataError, match=r"cannot be read as \.npz"):
        read_arrays(path)


@pytest.mark.parametrize("content", [b"", b"junk" * 20, None])
def test_damaged_file(tmp_path, content):
    path = save(tmp_path, images=IMAGES, labels=LABELS)
    path.write_bytes(path.read_bytes()[:300] if content is None else content)
    with pytest.raises(DataError, match=r"some\.npz cannot be read as \.npz"):
        read_arrays(path)


def test_single_array_file_with_the_wrong_suffix(tmp_path):
    path = tmp_path / "some.npz"
    with path.open("wb") as file:
        np.save(file, IMAGES)
    with pytest.raises(DataError, match="one array only"):
        read_arrays(path)
