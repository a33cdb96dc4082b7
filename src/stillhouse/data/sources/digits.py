"""The digits of scikit-learn: 1,797 grey images of 8 x 8, no download, no split of their own."""

import numpy as np
import torch

from stillhouse.data.sources.splits import SourceSplits
from stillhouse.data.tables import ImageTable


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
