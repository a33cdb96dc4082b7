"""What a network costs: parameters, multiplications, bytes of its file, time of an answer."""

import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from stillhouse.engine.flags import Flags
from stillhouse.engine.seeding import seeded
from stillhouse.models.calling import by_name, call, run_on
from stillhouse.models.given import set_eval
from stillhouse.models.weights import describe
from stillhouse.students.shared import is_shared, unshared

Shape = tuple[int, int, int]
Example = Shape | Callable[[int], Mapping[str, Tensor]]
"""What a network reads: images of a shape, or a function that gives so many rows by name."""

BATCHES = (1, 64)
"""One image, as a product answers, and a batch, as a service does."""
WARM, REPEATS = 3, 30
"""Answers before timing, and at most how many are timed; the median is told."""
SECONDS = 1.0
"""After so long of timing a network at a batch, no further repeat begins (two are always made)."""


@dataclass(frozen=True, slots=True)
class Measures:
    """What a network costs.

    Args:
        parameters: how many numbers it learns.
        macs: multiplications (each with its addition) of one image.
        file_bytes: of its state dict as a ``.safetensors`` file.
        milliseconds: of one answer, by batch size; the median of several.
    """

    parameters: int
    macs: int
    file_bytes: int
    milliseconds: dict[int, float]


def measured(
    modules: Sequence[nn.Module], image_shapes: Sequence[Example], *, seconds: float = SECONDS
) -> list[Measures]:
    """Measure networks side by side, in eval mode, where they are; they stay as they were.

    They answer in turns, so that what else the machine does meets them alike; those of shared
    weights with the weights themselves, as they are handed over.

    Args:
        modules: on one device.
        image_shapes: channels, height and width of the images of each; or what gives its rows.
        seconds: no answer begins to be timed after so long for each network and batch.
    """
    answering = [unshared(module) if is_shared(module) else module for module in modules]
    times = {
        batch: latencies(answering, image_shapes, batch=batch, seconds=seconds) for batch in BATCHES
    }
    return [
        Measures(
            parameters=describe(module).parameters,
            macs=macs(module, image_shape),
            file_bytes=file_bytes(module),
            milliseconds={batch: each[at] for batch, each in times.items()},
        )
        for at, (module, image_shape) in enumerate(zip(modules, image_shapes, strict=True))
    ]


def macs(module: nn.Module, image_shape: Example) -> int:
    """Multiply-and-add operations of one image: convolutions, matrix products and attention.

    Counted by torch as it runs, attention as its matrix products; normalisation, activations,
    pooling and sums are not counted, as is the custom.

    >>> macs(nn.Conv2d(3, 8, 3, padding=1), (3, 4, 4))
    3456
    """
    with _resting([module]), _unfused(), FlopCounterMode(display=False) as counter:
        run_on(module, _images(module, image_shape, 1))
    return int(counter.get_total_flops()) // 2


@contextmanager
def _unfused() -> Iterator[None]:
    """Attention as single products: torch does not count its fused kernels everywhere."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def file_bytes(module: nn.Module) -> int:
    """Bytes of the ``.safetensors`` file of a module: its tensors and the header that names them.

    >>> file_bytes(nn.Linear(3, 2))
    160
    """
    from safetensors.torch import save

    state = module.state_dict()
    apart = {
        name: tensor.detach().cpu().contiguous().clone()
        for name, tensor in state.items()
        if isinstance(tensor, Tensor)  # what a layer keeps besides is in the metadata
    }
    return len(save(apart))


def latencies(
    modules: Sequence[nn.Module],
    image_shapes: Sequence[Example],
    *,
    batch: int,
    repeats: int = REPEATS,
    seconds: float = SECONDS,
) -> list[float]:
    """The median time of an answer of each network, in milliseconds, after a warm-up.

    Args:
        modules, image_shapes: as for `measured`.
        batch: images at once.
        repeats: at most so many answers are timed.
        seconds: no round begins after so long per network.
    """
    found: list[list[float]] = [[] for _ in modules]
    with _resting(modules):
        images = [
            _images(module, shape, batch)
            for module, shape in zip(modules, image_shapes, strict=True)
        ]
        for module, image in zip(modules, images, strict=True):
            for _ in range(WARM):
                run_on(module, image)
        began = time.perf_counter()
        for turn in range(repeats):
            if turn > 1 and time.perf_counter() - began > seconds * len(modules):
                break
            order = range(len(modules))
            for at in order if turn % 2 else reversed(order):  # none is always the one after
                found[at].append(_timed(modules[at], images[at]))
    return [1000 * statistics.median(spent) for spent in found]


def conditions(device: torch.device) -> dict[str, object]:
    """What a time depends on beside the network, to be told with it."""
    told: dict[str, object] = {"device": device.type, "torch": torch.__version__}
    if device.type == "cpu":
        return {**told, "threads": torch.get_num_threads(), "processors": os.cpu_count()}
    return {**told, "name": torch.cuda.get_device_name(device)} if device.type == "cuda" else told


def _timed(module: nn.Module, given: Mapping[str, Tensor]) -> float:
    device, names = next(iter(given.values())).device, tuple(given)
    values, named = list(given.values()), by_name(module, names)
    _wait(device)
    began = time.perf_counter()
    call(module, names, values, named)
    _wait(device)
    return time.perf_counter() - began


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _images(module: nn.Module, image_shape: Example, batch: int) -> Mapping[str, Tensor]:
    first = next(module.parameters(), torch.zeros(()))
    if callable(image_shape):
        return {name: x.to(first.device) for name, x in image_shape(batch).items()}
    with seeded("measures"):
        return {"image": torch.randn(batch, *image_shape).to(first.device, first.dtype)}


@contextmanager
def _resting(modules: Sequence[nn.Module]) -> Iterator[None]:
    """Eval mode without autograd; afterwards each part is in the mode that it was in."""
    flags = Flags(modules)
    try:
        for module in modules:
            set_eval(module)
        with torch.no_grad():
            yield
    finally:
        flags.restore()
