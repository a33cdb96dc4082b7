"""The environment of a run: what somebody needs to know to repeat it."""

import os
import platform as machine
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from stillhouse.engine.platform import Platform

PACKAGES = ("stillhouse", "torch", "accelerate", "safetensors", "numpy", "datasets", "pillow")


def environment(platform: Platform) -> dict[str, Any]:
    """Versions, hardware, threads and precision; no user name, host name or path."""
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": machine.python_version(),
        "system": f"{machine.system()} {machine.machine()}",
        "packages": {name: _version(name) for name in PACKAGES},
        "device": str(platform.device),
        "device_name": _device_name(platform.device),
        "processes": platform.world,
        "precision": platform.precision,
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "interpreter": sys.implementation.name,
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return machine.processor() or machine.machine()
