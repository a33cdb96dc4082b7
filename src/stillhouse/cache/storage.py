"""How the signals of a teacher are stored, and whether the disk has room for them."""

import math
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from stillhouse.errors import CacheError, nearest
from stillhouse.records.remote import Location, Remote

DType = Literal["float32", "float16", "bfloat16"]

VALUE, CLASSES, REST = "value", "classes", "rest"
INDEX_BYTES, REST_BYTES = 4, 4


@dataclass(frozen=True)
class Storage:
    """How one signal is stored.

    Args:
        dtype: 'float32' keeps every bit; 'float16' and 'bfloat16' take half the room.
        top: keep only so many of the largest scores of each sample, and the log-sum-exp of the
            rest, which is spread evenly over the classes that were left out: the probability mass
            of the top and of the rest is exact at temperature 1. None: all.

    Raises:
        CacheError: no such dtype, or ``top`` is no count.

    >>> Storage("float16", top=20).name, Storage().lossless
    ('float16-top20', True)
    """

    dtype: DType = "float32"
    top: int | None = None

    def __post_init__(self) -> None:
        known = get_args(DType)
        if self.dtype not in known:
            raise CacheError(f"no storage '{self.dtype}'; {nearest(self.dtype, known)}")
        if self.top is not None and self.top < 1:
            raise CacheError(f"top {self.top}: keep at least one score, or all (null)")

    @property
    def name(self) -> str:
        """A word for folders."""
        return self.dtype if self.top is None else f"{self.dtype}-top{self.top}"

    @property
    def lossless(self) -> bool:
        """Whether what is served has the bits of what was computed."""
        return self.dtype == "float32" and self.top is None

    @property
    def torch_dtype(self) -> torch.dtype:
        """The dtype of stored values."""
        dtype: torch.dtype = getattr(torch, self.dtype)
        return dtype

    def bytes_per_sample(self, shape: Sequence[int]) -> int:
        """Bytes that one sample takes.

        >>> Storage("float16", top=20).bytes_per_sample([128_000])
        124
        """
        width = self.torch_dtype.itemsize
        if self.top is None:
            return math.prod(shape) * width
        return self.top * (width + INDEX_BYTES) + REST_BYTES

    def problem(self, shape: Sequence[int]) -> str | None:
        """Why signals of this shape (without the batch) cannot be stored so."""
        if self.top is None:
            return None
        if len(shape) != 1:
            return f"top {self.top} is for scores [classes], not for {list(shape)}; leave top out"
        if self.top >= shape[0]:
            return f"top {self.top} of {shape[0]} scores saves nothing; leave top out"
        return None

    def encode(self, value: Tensor) -> dict[str, Tensor]:
        """The tensors that stand for a batch of a signal.

        Shapes:
            value: [n, ...]; returns ``value`` alike or, with top k, ``value`` [n, k], ``classes``
            [n, k] int32 and ``rest`` [n] float32.

        Raises:
            CacheError: a value is not finite, or does not fit the dtype.
        """
        value = value.float()
        if self.top is None:
            return {VALUE: self._narrow(value)}
        largest = value.topk(self.top, dim=1)
        rest = value.scatter(1, largest.indices, -torch.inf).logsumexp(1)
        return {
            VALUE: self._narrow(largest.values),
            CLASSES: largest.indices.to(torch.int32),
            REST: rest,
        }

    def decode(self, stored: Mapping[str, Tensor], shape: Sequence[int]) -> Tensor:
        """The signal again, float32.

        >>> storage = Storage(top=1)
        >>> scores = torch.tensor([[2.0, 0.0, 0.0]])
        >>> storage.decode(storage.encode(scores), [3]).tolist()
        [[2.0, 0.0, 0.0]]
        """
        value = stored[VALUE].float()
        if self.top is None:
            return value
        classes = shape[0]
        even = stored[REST] - math.log(classes - self.top)
        filled = even[:, None].expand(-1, classes).clone()
        return filled.scatter_(1, stored[CLASSES].long(), value)

    def _narrow(self, value: Tensor) -> Tensor:
        narrow = value.to(self.torch_dtype)
        if bool(torch.isfinite(narrow).all()):
            return narrow
        if not bool(torch.isfinite(value).all()):
            raise CacheError("a value is nan or inf; is the model in order?")
        raise CacheError(
            f"values up to {value.abs().max().item():.3g} do not fit {self.dtype}; store bfloat16 "
            "or float32"
        )


LOSSLESS = Storage()


VIEWS_AT_ONCE = 2
"""Views whose shards are in use: the one that is served and the one before it."""
SPARE = 1 << 28
"""Bytes that stay free: a full disk would take checkpoints and logs down with it. 256 MiB."""


def size_of(
    shapes: Mapping[str, Sequence[int]],
    storage: Mapping[str, Storage],
    *,
    rows: int,
    views: int,
) -> int:
    """Bytes of the signals of these shapes (without the batch), without file headers.

    >>> size_of({"logits": [100]}, {}, rows=50_000, views=8)
    160000000
    """
    each = sum(storage.get(part, LOSSLESS).bytes_per_sample(s) for part, s in shapes.items())
    return each * rows * views


def room_in(directory: Location) -> int:
    """Free bytes where a directory is or will be; an object store has no end that it would say."""
    if isinstance(directory, Remote):
        return sys.maxsize
    there = directory
    while not there.exists():
        there = there.parent
    return shutil.disk_usage(there).free


def check_room(directory: Location, needed: int) -> None:
    """Make sure that the disk has room, before anything is run; what is there needs none.

    Raises:
        CacheError: it has not; says how much is needed and how much there is.
    """
    free = room_in(directory)
    if needed and needed + SPARE > free:
        raise CacheError(
            f"the teacher cache takes {in_words(needed)}, but {directory} has room for "
            f"{in_words(max(free - SPARE, 0))} ({in_words(SPARE)} stay free): show fewer views "
            "(data.views), store float16 (cache.dtype), choose another disk (cache.directory), or "
            "run the teacher live (cache: never)"
        )


def check_copies(directory: Remote, view_bytes: int, views: int) -> None:
    """Make sure that what is read at a time from an object store has room on this machine.

    Batches are drawn from a whole view, and the one before it may still be shown: with less room
    than for these, each batch would read from the store again.

    Raises:
        CacheError: the copies may not take so much, or the disk has no room for it.
    """
    copies = directory.copies
    needed = view_bytes * min(views, VIEWS_AT_ONCE)
    if needed > copies.most:
        raise CacheError(
            f"{directory} is read through copies on this machine, of {VIEWS_AT_ONCE} views at a "
            f"time: {in_words(needed)}, and they may take {in_words(copies.most)}; allow more "
            "(cache.local_gb), or store float16 (cache.dtype)"
        )
    check_room(copies.folder, max(needed - copies.bytes, 0))


def in_words(size: float) -> str:
    """A number of bytes for people.

    >>> in_words(160_000_000)
    '160 MB'
    """
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if abs(size) < 999.5:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.0f} PB"
