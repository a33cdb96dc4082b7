"""Batches of the user's own: what is wrong with one is found before a network sees it, by its name.

The first batch says what all are alike in: the signals, their types, and their shapes past the
first axis (images may change in height and width, which some networks allow).
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from stillhouse.data.mixing import LAM, PARTNER_LABEL
from stillhouse.errors import DataError

BATCH = "batch."
IMAGE = f"{BATCH}image"
ROWS = (IMAGE, f"{BATCH}label", f"{BATCH}index", PARTNER_LABEL, LAM)
"""What has a row for each sample; anything else may be of any shape."""
Check = Callable[[Mapping[str, Tensor]], str | None]
"""What a batch has of labels that are none of the task; None where all is well."""


class BatchChecks:
    """What every batch of a source must be.

    ``labels`` is set by whoever knows the task: it is asked while a batch is on the CPU still.
    """

    def __init__(self) -> None:
        self.labels: Check | None = None
        self._first: dict[str, tuple[torch.dtype, tuple[int, ...]]] | None = None

    def look(self, batch: Mapping[str, Tensor], where: str) -> None:
        """Refuse a batch.

        Raises:
            DataError: it has no rows, or not as many of each signal; another type or shape than
                the first; values that are not finite; labels that are none.
        """
        problem = _alone(batch) or self._beside_first(batch)
        if problem is None and self.labels is not None:
            problem = self.labels(batch)
        if problem is not None:
            raise DataError(f"{where}: {problem}")

    def _beside_first(self, batch: Mapping[str, Tensor]) -> str | None:
        forms = {name: (value.dtype, tuple(value.shape[1:])) for name, value in batch.items()}
        if self._first is None:
            self._first = forms
            return None
        for name, (dtype, shape) in self._first.items():
            said = name.removeprefix(BATCH)
            if name not in forms:
                return f"it has no '{said}', which the first batch has"
            if forms[name][0] != dtype:
                return f"'{said}' is {_kind(forms[name][0])}, in the first batch {_kind(dtype)}"
            now = forms[name][1]
            resized = name == IMAGE and len(now) == 3 and now[:1] == shape[:1]  # some networks can
            if now != shape and name in ROWS and not resized:
                return f"a row of '{said}' is {list(now)}, in the first batch {list(shape)}"
        return None


def _alone(batch: Mapping[str, Tensor]) -> str | None:
    parts = {name: batch[name] for name in ROWS if name in batch}
    for name, value in parts.items():
        said = name.removeprefix(BATCH)
        if not value.ndim:
            return (
                f"'{said}' is one value; a batch has a row for each sample: give the DataLoader a "
                "batch_size (with batch_size=None the dataset must give whole batches)"
            )
        if not len(value):
            return f"'{said}' has no rows; leave empty batches out"
    rows = {name.removeprefix(BATCH): len(value) for name, value in parts.items()}
    if len(set(rows.values())) > 1:
        each = ", ".join(f"{count} of '{name}'" for name, count in rows.items())
        return f"its signals differ in rows: {each}"
    image = batch.get(IMAGE)
    if image is None or image.device.type != "cpu":
        return None
    if image.dtype == torch.uint8 and image.ndim == 4:
        return (
            "the images are uint8, and a network is shown floats: give the dataset a transform "
            "such as ToTensor(), or the data to distill, which scales them"
        )
    if image.is_floating_point() and not bool(image.sum().isfinite()):
        bad = (~image.isfinite()).flatten(1).any(1).nonzero()[:, 0].tolist()
        if bad:
            return f"the image of row {bad[0]} holds nan or inf, as {len(bad)} rows do in all"
    return None


def _kind(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
