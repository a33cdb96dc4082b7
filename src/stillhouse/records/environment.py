"""The environment of a run: what somebody needs to know to repeat it."""

import os
import platform as machine
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Protocol

import torch

PACKAGES = ("stillhouse", "torch", "accelerate", "safetensors", "numpy", "datasets", "pillow")


class Placement(Protocol):
    """Where and how exactly a run computes; the engine's Platform is one."""

    @property
    def device(self) -> torch.device:
        """What the networks are on."""
        ...

    @property
    def precision(self) -> str:
        """Of the networks: 'fp32', 'bf16', ..."""
        ...

    @property
    def world(self) -> int:
        """How many processes there are."""
        ...


def environment(placement: Placement) -> dict[str, Any]:
    """Versions, hardware, threads and precision; no user name, host name or path."""
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": machine.python_version(),
        "system": f"{machine.system()} {machine.machine()}",
        "packages": {name: _version(name) for name in PACKAGES},
        "device": str(placement.device),
        "device_name": _device_name(placement.device),
        "processes": placement.world,
        "precision": placement.precision,
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "interpreter": sys.implementation.name,
    }


def torch_version() -> str:
    """The version of torch, part of whatever decides numbers: they differ between versions.

    The build is left out (``+cpu``, ``+cu130``): the device says more.

    >>> "+" in torch_version()
    False
    """
    return _without_build(torch.__version__)


def torch_version_of(noted: Mapping[str, Any]) -> str | None:
    """The version of torch of an environment that was noted; None where it says none.

    >>> torch_version_of({"packages": {"torch": "2.13.0+cpu"}})
    '2.13.0'
    """
    packages = noted.get("packages")
    found = packages.get("torch") if isinstance(packages, Mapping) else None
    return _without_build(found) if isinstance(found, str) else None


def _without_build(version: str) -> str:
    return version.partition("+")[0]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return machine.processor() or machine.machine()
