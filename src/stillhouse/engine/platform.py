"""The platform of a run: device, precision and processes, on Hugging Face Accelerate.

Accelerate places modules, wraps the composite for data-parallel training, reduces and waits.
Autocast stays with the composite (so that it is compiled with it) and is decided by the recipe.
"""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from stillhouse.errors import RecipeError, nearest

Precision = Literal["auto", "fp32", "bf16", "fp16"]

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
    """Where a stage runs. Made by `open_platform`."""

    accelerator: Any
    device: torch.device
    precision: Precision

    @property
    def rank(self) -> int:
        """Number of this process, from 0."""
        return int(self.accelerator.process_index)

    @property
    def world(self) -> int:
        """How many processes train together."""
        return int(self.accelerator.num_processes)

    @property
    def main(self) -> bool:
        """Whether this process writes files."""
        return bool(self.accelerator.is_main_process)

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

    Raises:
        RecipeError: there is no such device here, or no such precision.

    >>> open_platform(device="cpu").world
    1
    """
    from accelerate import Accelerator

    # Precision "no" on purpose: autocast is ours, whatever the launcher's environment says.
    accelerator = Accelerator(cpu=device == "cpu", mixed_precision="no")
    place = accelerator.device if device == "auto" else _existing(device)
    if accelerator.num_processes > 1:
        place = accelerator.device
    return Platform(accelerator, place, choose_precision(precision, place))


def _existing(name: str) -> torch.device:
    """The device of that name, if one can be used."""
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        said = str(error).strip().splitlines()[0]
        problem = f"'{name}' cannot be used here ({said}); choose auto or cpu"
        raise RecipeError("device", [problem]) from None
    return device
