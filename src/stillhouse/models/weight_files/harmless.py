"""What a checkpoint may hold beside tensors: plain values, which torch.load asks leave for.

They are allowed by name and for one reading only. Where a class is not needed, or belongs to a
package that may be absent, an empty dict or list stands for it, so nothing of it is run.
"""

import argparse
import datetime
import decimal
import fractions
import pathlib
import types
import uuid
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

# Of numpy's dtypes all but those of objects.
_NUMBERS = "?bBhHiIlLqQefdgFDGSUVMm"
_PLAIN = (
    argparse.Namespace, types.SimpleNamespace, datetime.date, datetime.datetime, datetime.time,
    datetime.timedelta, datetime.timezone, decimal.Decimal, fractions.Fraction, uuid.UUID,
    uuid.SafeUUID, frozenset, slice, range, bytes, torch.torch_version.TorchVersion,
)  # fmt: skip
# Types as values, such as in what a config says of its fields.
_TYPES = (int, float, str, bool, dict, list, tuple, object)


class AsDict:
    """In place of a class whose values are of no use to us: an empty dict that takes them."""

    def __new__(cls, *_: Any, **__: Any) -> Any:
        """Whatever it is called with."""
        return OrderedDict()


class AsList:
    """The same for what is filled as a list."""

    def __new__(cls, *_: Any, **__: Any) -> Any:
        """Whatever it is called with."""
        return []


_DICTS = (
    "collections.defaultdict",
    "addict.addict.Dict",
    "box.box.Box",
    "easydict.EasyDict",
    "fvcore.common.config.CfgNode",
    "lightning.fabric.utilities.data.AttributeDict",
    "lightning_fabric.utilities.data.AttributeDict",
    "pytorch_lightning.utilities.parsing.AttributeDict",
    "lightning.pytorch.utilities.parsing.AttributeDict",
    "mmcv.utils.config.ConfigDict",
    "mmengine.config.config.ConfigDict",
    "ml_collections.config_dict.config_dict.ConfigDict",
    "munch.Munch",
    "omegaconf.base.ContainerMetadata",
    "omegaconf.base.Metadata",
    "omegaconf.dictconfig.DictConfig",
    "omegaconf.listconfig.ListConfig",
    "typing.Any",
    "yacs.config.CfgNode",
    *(
        f"omegaconf.nodes.{kind}Node"
        for kind in ("Any", "Boolean", "Bytes", "Enum", "Float", "Integer", "Path", "String")
    ),
)
_LISTS = ("collections.deque",)


def harmless() -> Sequence[Any]:
    """What `torch.serialization.safe_globals` takes: classes and functions with their names.

    >>> names = [name for _, name in harmless()]
    >>> "argparse.Namespace" in names, "posix.system" in names, "builtins.getattr" in names
    (True, False, False)
    """
    return [
        *((kind, f"{kind.__module__}.{kind.__qualname__}") for kind in (*_PLAIN, *_TYPES)),
        *((AsDict, name) for name in _DICTS),
        *((AsList, name) for name in _LISTS),
        *_paths(),
        *_arrays(),
    ]


def _paths() -> list[tuple[Any, str]]:
    # A path is a word here: that of another system can be read, too.
    kinds = {
        "PosixPath": pathlib.PurePosixPath, "PurePosixPath": pathlib.PurePosixPath,
        "WindowsPath": pathlib.PureWindowsPath, "PureWindowsPath": pathlib.PureWindowsPath,
    }  # fmt: skip
    modules = ("pathlib", "pathlib._local")
    return [(kind, f"{module}.{name}") for name, kind in kinds.items() for module in modules]


def _arrays() -> list[tuple[Any, str]]:
    # Where a pickled scalar says that its function is, whichever numpy wrote it.
    scalar = np.float64(0).__reduce__()[0]
    rebuild = np.zeros(1).__reduce__()[0]
    modules = ("numpy.core.multiarray", "numpy._core.multiarray")
    kinds = {type(np.dtype(sign)) for sign in _NUMBERS}
    return [
        *((scalar, f"{module}.scalar") for module in modules),
        *((rebuild, f"{module}._reconstruct") for module in modules),
        (np.ndarray, "numpy.ndarray"),
        (np.dtype, "numpy.dtype"),
        *((kind, f"{kind.__module__}.{kind.__qualname__}") for kind in kinds),
    ]
