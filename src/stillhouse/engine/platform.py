"""The platform of a run: device, precision and processes, on Hugging Face Accelerate.

Accelerate places modules, wraps the composite for data-parallel training, reduces and waits.
Autocast stays with the composite (so that it is compiled with it) and is decided by the recipe.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar, get_args

import torch
from torch import Tensor, nn

from stillhouse.engine.processes import by_main, world_asked
from stillhouse.errors import RecipeError, nearest

T = TypeVar("T")
Precision = Literal["auto", "fp32", "bf16", "fp16"]

CPU = torch.device("cpu")

CHECK_EVERY = 50
"""Steps between looks at the losses on an accelerator: a look waits for the device."""


def bf16_is_fast(device: torch.device) -> bool:
    """Whether the hardware has bfloat16 arithmetic (not merely an emulation of it).

    >>> isinstance(bf16_is_fast(torch.device("cpu")), bool)
    True
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        capable = getattr(torch.cpu, "get_capabilities", None)
        if capable is not None:
            found = capable()
            return bool(found.get("avx512_bf16") or found.get("amx_bf16") or found.get("bf16"))
        names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # before torch 2.10
        return any(getattr(torch.cpu, name, lambda: False)() for name in names)
    return False


def choose_precision(wanted: Precision, device: torch.device) -> Precision:
    """``auto`` becomes bf16 where the hardware is good at it, else fp32.

    Raises:
        RecipeError: there is no such precision.

    >>> choose_precision("fp32", torch.device("cpu"))
    'fp32'
    """
    known = get_args(Precision)
    if wanted not in known:
        raise RecipeError("precision", [f"there is no '{wanted}'; {nearest(wanted, known)}"])
    if wanted != "auto":
        return wanted
    return "bf16" if bf16_is_fast(device) else "fp32"


@dataclass(frozen=True)
class Platform:
    """Where a stage runs. Made by `open_platform`; ``accelerator`` is None with one process."""

    accelerator: Any
    device: torch.device
    precision: Precision

    @property
    def rank(self) -> int:
        """Number of this process, from 0."""
        return 0 if self.accelerator is None else int(self.accelerator.process_index)

    @property
    def world(self) -> int:
        """How many processes train together."""
        return 1 if self.accelerator is None else int(self.accelerator.num_processes)

    @property
    def main(self) -> bool:
        """Whether this process writes files."""
        return self.rank == 0

    @property
    def alone(self) -> "Platform":
        """The same place for what one process does without the others (`by_main`)."""
        return replace(self, accelerator=None)

    def by_main(self, work: Callable[[], T]) -> T | None:
        """Let the main process do this with a platform of its own (`alone`); the others wait.

        Gives the result in the main process and None in the others.

        Raises:
            RunError: in the others, what was raised in the main process.
        """
        if self.world == 1:
            return work()
        return by_main(work, main=self.main, meet=self.wait)

    @contextmanager
    def main_holds(self, lock: Callable[[], AbstractContextManager[Any]]) -> Iterator[None]:
        """A context that the main process alone enters and leaves, such as a lock on a directory.

        The others wait until it is entered, however long that takes.

        Raises:
            RunError: in the others, what was raised while it was entered.
        """
        with ExitStack() as held:
            self.by_main(lambda: held.enter_context(lock()))
            yield

    @property
    def check_every(self) -> int:
        """Steps between looks at the losses; each step on the CPU, where looking is free."""
        return 1 if self.device.type == "cpu" else CHECK_EVERY

    @property
    def autocast_dtype(self) -> torch.dtype | None:
        """The dtype of autocast; None for plain float32."""
        return {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self.precision)

    def wrap(self, module: nn.Module, *, find_unused: bool) -> Any:
        """Data-parallel form of a composite; itself with one process."""
        if self.world == 1:
            return module
        from accelerate.utils import DistributedDataParallelKwargs

        self.accelerator.ddp_handler = DistributedDataParallelKwargs(
            find_unused_parameters=find_unused
        )
        return self.accelerator.prepare_model(module)

    def sum(self, value: Tensor) -> Tensor:
        """Sum of a tensor over processes."""
        if self.world == 1:
            return value
        reduced: Tensor = self.accelerator.reduce(value, reduction="sum")
        return reduced

    def mean(self, value: Tensor) -> Tensor:
        """Mean of a tensor over processes."""
        return self.sum(value) / self.world

    def wait(self) -> None:
        """Wait for all processes."""
        if self.world > 1:
            self.accelerator.wait_for_everyone()


def open_platform(*, device: str = "auto", precision: Precision = "auto") -> Platform:
    """The platform of this process, launched alone or by ``accelerate launch`` / ``torchrun``.

    Several processes have an accelerator each; where there is none, or with ``device: cpu``, they
    share the processor and talk through gloo.

    Raises:
        RecipeError: there is no such device here, or no such precision; or the launcher's variables
            ask for several processes that do not find each other.

    >>> open_platform(device="cpu").world
    1
    """
    world = world_asked()
    kind, one, _ = device.partition(":")
    if world > 1 and one:
        said = f"'{device}' is one device, and each of {world} processes needs its own"
        raise RecipeError("device", [f"{said}; write {kind} or auto"])
    place = _own_device() if device == "auto" else _existing(device)
    if world == 1:
        return Platform(None, place, choose_precision(precision, place))
    accelerator = _accelerator(place, world)
    if place.type != "cpu":
        place = accelerator.device
    return Platform(accelerator, place, choose_precision(precision, place))


def _own_device() -> torch.device:
    """The accelerator that torch finds here, or the processor."""
    if os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true", "yes"):
        return CPU  # said to `accelerate launch`
    if not torch.accelerator.is_available():
        return CPU
    found = torch.accelerator.current_accelerator()
    return CPU if found is None else torch.device(found.type)


def _accelerator(place: torch.device, world: int) -> Any:
    """Join the processes. Raises RecipeError where that gives fewer than were asked for."""
    from accelerate import Accelerator

    local = int(os.environ.get("LOCAL_RANK", 0))
    there = torch.accelerator.device_count() if place.type != "cpu" else world
    if local >= there:
        said = f"process {local} of this machine finds {there} of type {place.type}"
        raise RecipeError("processes", [f"{said}; start as many as there are, or give device: cpu"])
    # Precision "no" on purpose: autocast is ours, whatever the launcher's environment says.
    joined = Accelerator(cpu=place.type == "cpu", mixed_precision="no")
    if joined.num_processes != world:
        raise RecipeError(
            "processes",
            [f"{world} were asked for (WORLD_SIZE) and {joined.num_processes} found each other; "
             "start them with torchrun"],
        )  # fmt: skip
    if joined.device.type != place.type:
        said = f"{place.type} was asked for, and the processes were joined on {joined.device.type}"
        raise RecipeError("device", [f"{said} before; ask for the same in one program"])
    return joined


def _existing(name: str) -> torch.device:
    """The device of that name, if one can be used."""
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()  # 'meta' knows shapes and no numbers
    except (RuntimeError, AssertionError) as error:
        said = str(error).strip().splitlines()[0]
        problem = f"'{name}' cannot be used here ({said}); choose auto or cpu"
        raise RecipeError("device", [problem]) from None
    return CPU if device.type == "cpu" else device  # no file can be read to 'cpu:0'
