"""Arrays of images and labels: a .npz file, and the digits of scikit-learn."""

import zlib
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch

from stillhouse.data.pixels import channels_come_first
from stillhouse.data.sources.labelled_splits import SourceSplits, number_labels, unlabelled
from stillhouse.data.tables import ImageTable
from stillhouse.errors import DataError

NAMES = {
    "train": (("train_images", "train_labels"), ("x_train", "y_train"), ("images", "labels")),
    "validation": (("val_images", "val_labels"), ("x_val", "y_val")),
    "test": (("test_images", "test_labels"), ("x_test", "y_test")),
}


def read_arrays(path: Path, *, labelled: bool = True) -> SourceSplits:
    """Read `train_images`/`train_labels`, `x_train`/`y_train` or `images`/`labels` and the like.

    The same with `val` and `test`; images are uint8 `[N, H, W]` or `[N, H, W, C]`, labels `[N]` or
    `[N, 1]`, whole numbers or text. Pickled arrays are never loaded. Where no labels are read
    (``labelled=False``), none need to be there.

    Raises:
        DataError: not an .npz file, names that are not there, images of another type or shape,
            lengths that differ, and what `number_labels` refuses.
    """
    arrays = _load(path)
    images, raw = {}, {}
    for split, pairs in NAMES.items():
        for image_name, label_name in pairs:
            if image_name in arrays or label_name in arrays:
                if not labelled and image_name in arrays:
                    arrays[label_name] = unlabelled(len(arrays[image_name]))
                images[split], raw[split] = _pair(path, arrays, image_name, label_name)
                break
    if "train" not in images:
        wanted = " or ".join("/".join(pair) for pair in NAMES["train"])
        raise DataError(f"{path} has the arrays {', '.join(arrays)}; wanted is {wanted}")
    numbered = number_labels(raw, lambda split, row: f"{path.name}, {split} row {row}")
    shapes = {split: array.shape[1:] for split, array in images.items()}
    for split, shape in shapes.items():
        if shape != shapes["train"]:
            raise DataError(
                f"{path}: images of {split} are {list(shape)}, those of train "
                f"{list(shapes['train'])}; all must have one size"
            )
    parts = {s: ImageTable(torch.from_numpy(images[s]), numbered.labels[s]) for s in images}
    return SourceSplits(path.stem, parts, numbered.classes, open_only=numbered.open_only)


def _load(path: Path) -> dict[str, np.ndarray]:
    try:
        with path.open("rb") as opened:  # numpy leaves its own open when the file is damaged
            loaded = np.load(opened, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                raise ValueError("it is one array only, as .npy has it")
            return {name: loaded[name] for name in loaded.files}
    except (OSError, ValueError, EOFError, BadZipFile, zlib.error) as error:
        raise DataError(
            f"{path} cannot be read as .npz ({str(error).splitlines()[0]}); write it with "
            "numpy.savez_compressed from arrays of numbers or text, not of objects"
        ) from error


def _pair(
    path: Path, arrays: dict[str, np.ndarray], image_name: str, label_name: str
) -> tuple[np.ndarray, np.ndarray]:
    for name in (image_name, label_name):
        if name not in arrays:
            raise DataError(f"{path} has no array '{name}'; it has: {', '.join(arrays)}")
    images, labels = arrays[image_name], arrays[label_name]
    what = f"{path}: {image_name} is {images.dtype} {list(images.shape)}"
    if images.dtype != np.uint8:
        raise DataError(f"{what}; wanted is uint8, 0 to 255. {_how_to_bytes(images)}")
    if images.ndim == 4 and channels_come_first(images.shape[1:]):
        raise DataError(f"{what}: channels come last here; save {image_name}.transpose(0, 2, 3, 1)")
    if images.ndim not in (3, 4):
        raise DataError(f"{what}; wanted is [N, H, W] or [N, H, W, C]")
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if len(images) != len(labels):
        raise DataError(
            f"{path}: {image_name} has {len(images)} rows, {label_name} {len(labels)}; each image "
            "needs exactly one label"
        )
    return np.ascontiguousarray(images if images.ndim == 4 else images[..., None]), labels


def _how_to_bytes(images: np.ndarray) -> str:
    if images.dtype.kind == "f" and images.size and images.min() >= 0 and images.max() <= 1:
        return "They lie in [0, 1]: save (images * 255).round().astype('uint8')"
    if images.dtype.kind in "iu" and images.size and images.min() >= 0 and images.max() <= 255:
        return "They lie in 0..255: save images.astype('uint8')"
    if not images.size or images.dtype.kind not in "iuf":
        return "Save the pixels as numbers"
    return (
        f"They lie in {images.min():.4g}..{images.max():.4g}: undo the normalisation, scale to "
        "0..255, round, and save astype('uint8')"
    )


def read_digits() -> SourceSplits:
    """Read the digits; their values 0..16 become 0..255, rounded.

    >>> len(read_digits().parts["train"])
    1797
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)[..., None]
    table = ImageTable(torch.from_numpy(pixels), torch.from_numpy(digits.target.astype(np.int64)))
    return SourceSplits(
        "digits", {"train": table}, tuple(str(name) for name in digits.target_names)
    )
