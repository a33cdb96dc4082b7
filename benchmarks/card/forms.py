"""In what arithmetic a step runs, and in what form: eager, compiled, as CUDA graphs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from stillhouse.engine.graphs import GRAPHS, Compile
from stillhouse.engine.platform import Platform

PRECISIONS = ("fp32", "tf32", "bf16")
FORMS: dict[str, Compile] = {"eager": False, "compiled": True, "graphs": GRAPHS}


@contextmanager
def arithmetic(precision: str, device: torch.device) -> Iterator[Platform]:
    """A platform of that precision; tf32 is float32 whose products are rounded to 10 bits."""
    places, name, kinds = _switches()
    before = [getattr(place, name) for place in places]
    for place in places:
        setattr(place, name, kinds[precision == "tf32"])
    try:
        yield Platform(None, device, "bf16" if precision == "bf16" else "fp32")
    finally:
        for place, value in zip(places, before, strict=True):
            setattr(place, name, value)


def _switches() -> tuple[tuple[Any, Any], str, tuple[Any, Any]]:
    """What decides of tf32 in products and convolutions: where, how it is called, off and on.

    From 2.9 on torch warns of the old names; earlier ones do not know the new.
    """
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    convolution = getattr(cudnn, "conv", None)
    if hasattr(matmul, "fp32_precision") and hasattr(convolution, "fp32_precision"):
        return (matmul, convolution), "fp32_precision", ("ieee", "tf32")
    return (matmul, cudnn), "allow_tf32", (False, True)
