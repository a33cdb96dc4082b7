"""Lets torchvision's wheel import beside another build of torch than it was compiled for."""

import sys
from importlib.util import find_spec
from pathlib import Path

import torch

_NEEDED_TO_IMPORT = (
    "nms",
    "qnms",
)  # torchvision describes these two without asking for its library
_SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_declared: list[torch.library.Library] = []  # a declaration lasts as long as its library object


def declare_missing_operators() -> None:
    """Declare, without an implementation, the operators that ``import torchvision`` asks for.

    The wheel of torchvision on PyPI is compiled against CUDA; beside a CPU build of torch its
    library does not load and the import fails. Classification needs none of its operators (its
    transforms of PIL images are Python), so a declaration is enough. Where the library loads,
    nothing is declared.
    """
    if _declared or "torchvision" in sys.modules or _library_loads():
        return
    library = torch.library.Library("torchvision", "DEF")
    for name in _NEEDED_TO_IMPORT:
        library.define(name + _SIGNATURE)
    _declared.append(library)


def _library_loads() -> bool:
    spec = find_spec("torchvision")
    if spec is None or spec.origin is None:
        return False
    for path in Path(spec.origin).parent.glob("_C.*"):
        try:
            torch.ops.load_library(str(path))
        except OSError:
            continue
        return True
    return False
