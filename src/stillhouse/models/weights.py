"""Weights of a network: how they start, how many they are, and how they are read from a file.

A file is read with all checks made before the first value is copied.
"""

import os
import pickle
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from stillhouse.errors import WeightsError

State = Mapping[str, Tensor]

# Where training codes keep the state dict inside a checkpoint; tried in this order.
INSIDE = ("state_dict", "model", "model_state")
# What data-parallel wrappers and torch.compile put before every name.
WRAPPERS = ("module.", "_orig_mod.")
SHOWN = 3


def he_normal_(module: nn.Module, *, linear_std: float | None = None) -> None:
    """Initialise every convolution below `module` with N(0, 2 / fan_out), in place.

    fan_out = kernel height * kernel width * output channels. Biases of convolutions become 0,
    batch norms the identity.

    Args:
        module: network to initialise.
        linear_std: where given, linear layers become N(0, linear_std^2) with bias 0 (0.01 in
            the authors' VGG and MobileNetV2); otherwise they keep PyTorch's default.

    Paper: He et al., Delving Deep into Rectifiers, ICCV 2015, section 2.2 (backward case).

    >>> import torch
    >>> _ = torch.manual_seed(0)
    >>> conv = nn.Conv2d(16, 64, 3)
    >>> he_normal_(conv)
    >>> round(conv.weight.std().item() / (2 / (9 * 64)) ** 0.5, 1)
    1.0
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            # fan_out ignores groups, also for depthwise convolutions: so do the authors' codes.
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.ones_(layer.weight)
            nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.Linear) and linear_std is not None:
            nn.init.normal_(layer.weight, std=linear_std)
            nn.init.zeros_(layer.bias)


@dataclass(frozen=True, slots=True)
class ModelSize:
    """Number of parameters, and bytes of all tensors in the state dict."""

    parameters: int
    bytes: int


def describe(module: nn.Module) -> ModelSize:
    """Count parameters, and bytes of parameters and buffers; shared ones count once.

    >>> describe(nn.Linear(3, 2))
    ModelSize(parameters=8, bytes=32)
    """
    tensors = {id(tensor): tensor for tensor in module.state_dict(keep_vars=True).values()}
    return ModelSize(
        parameters=sum(parameter.numel() for parameter in module.parameters()),
        bytes=sum(tensor.numel() * tensor.element_size() for tensor in tensors.values()),
    )


def load_weights(module: nn.Module, path: str | os.PathLike[str]) -> None:
    """Copy the weights of a file into `module`: every name and shape must fit.

    Reads `.safetensors`, and `.pt` or `.pth` with `torch.load(weights_only=True)`. The file
    holds a state dict, or a dict with one under 'state_dict', 'model' or 'model_state'. A
    prefix 'module.' or '_orig_mod.' that all names bear is dropped. Everything is checked
    before the first value is copied.

    Args:
        module: receives the weights; keeps its device, dtypes and layout.
        path: file to read.

    Raises:
        WeightsError: the file is missing, damaged, of another kind, holds pickled objects, or
            does not fit; `module` is then as it was.

    >>> import tempfile
    >>> from safetensors.torch import save_file
    >>> source, target = nn.Linear(3, 2), nn.Linear(3, 2)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_file(source.state_dict(), f"{folder}/linear.safetensors")
    ...     load_weights(target, f"{folder}/linear.safetensors")
    >>> (source.weight - target.weight).abs().sum().item()
    0.0
    """
    file = Path(path)
    expected: State = module.state_dict()
    state = _unwrap(_find_state(_read(file), file), expected)
    faults = _faults(state, expected)
    if faults:
        raise WeightsError(
            f"weights file '{file}' does not fit {type(module).__name__}: {'; '.join(faults)}. "
            "Build the model with the name, classes and channels it was trained with"
        )
    module.load_state_dict(state)


def _read(file: Path) -> object:
    if not file.is_file():
        what = "is a folder" if file.is_dir() else "does not exist"
        raise WeightsError(f"weights file '{file}' {what}; give a .safetensors, .pt or .pth file")
    if file.suffix not in (".safetensors", ".pt", ".pth"):
        raise WeightsError(
            f"weights file '{file}' ends with '{file.suffix}'; known are .safetensors, .pt and .pth"
        )
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        with warnings.catch_warnings(action="ignore"):  # the errors below say what matters
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as fault:  # a damaged file can make the readers raise anything
        if isinstance(fault, pickle.UnpicklingError) and "Unsupported global" in str(fault):
            raise WeightsError(
                f"weights file '{file}' holds pickled objects, which could run code and are "
                "never loaded; save the state dict: torch.save(model.state_dict(), path)"
            ) from fault
        reason = str(fault).partition("\n")[0].partition(". ")[0][:200]
        raise WeightsError(
            f"weights file '{file}' cannot be read ({type(fault).__name__}: {reason}); it is "
            "truncated, damaged or of another kind: copy or save it again"
        ) from fault


def _find_state(loaded: object, file: Path) -> State:
    inside = [loaded.get(key) for key in INSIDE] if isinstance(loaded, Mapping) else []
    for candidate in (loaded, *inside):
        if isinstance(candidate, Mapping) and candidate and _is_state(candidate):
            return candidate
    if isinstance(loaded, Mapping):
        keys = [str(key) for key in loaded]
        held = f"a dict with {_some(keys)}" if keys else "an empty dict"
    else:
        held = type(loaded).__name__
    raise WeightsError(
        f"weights file '{file}' holds no state dict but {held}; "
        f"save the state dict itself, or under one of: {', '.join(INSIDE)}"
    )


def _is_state(candidate: Mapping[object, object]) -> bool:
    return all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in candidate.items()
    )


def _unwrap(state: State, expected: State) -> State:
    for prefix in WRAPPERS * 2:  # a compiled model may be wrapped, and a wrapped one compiled
        borne = all(name.startswith(prefix) for name in state)
        if borne and not all(name.startswith(prefix) for name in expected):
            state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state


def _faults(state: State, expected: State) -> list[str]:
    missing = [name for name in expected if name not in state]
    unexpected = [name for name in state if name not in expected]
    unlike = [
        f"{name}: file {_shape(state[name])}, model {_shape(wanted)}"
        for name, wanted in expected.items()
        if name in state and not _fits(state[name], wanted)
    ]
    found = ((missing, "missing"), (unexpected, "unexpected"), (unlike, "of another shape or kind"))
    return [f"{len(names)} {word} ({_some(names)})" for names, word in found if names]


def _fits(given: Tensor, wanted: Tensor) -> bool:
    # Halves may become singles; numbers must not become integers, nor sparse ones dense.
    return (
        given.shape == wanted.shape
        and given.is_floating_point() == wanted.is_floating_point()
        and given.is_complex() == wanted.is_complex()
        and given.layout == torch.strided
        and not given.is_meta
    )


def _shape(tensor: Tensor) -> str:
    return f"{list(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"


def _some(names: list[str]) -> str:
    rest = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {rest} more" if rest > 0 else "")
