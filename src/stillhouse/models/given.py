"""Networks that users bring: unwrapped, looked at, and copied, before anything is done with them.

Every network passes here, from a recipe, from `stillhouse.distill` and in a loop of one's own.
"""

import copy
import io
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel
from torch.nn.parameter import is_lazy
from torch.optim.swa_utils import AveragedModel

from stillhouse.errors import ModelError

WRAPPERS = (DataParallel, DistributedDataParallel, AveragedModel)
"""What holds a network under ``module`` and answers as that does."""
M = TypeVar("M", bound=nn.Module)

MAKE = "give a function that makes it"


def unwrapped(network: object, *, who: str) -> nn.Module:
    """The network itself: out of `torch.compile`, data parallelism, weight averaging or an export.

    Names of layers and weights are then those of the user's class.

    Args:
        network: what was brought.
        who: what the user calls it: student, teacher.

    Raises:
        ModelError: it is no network, its weights are not there yet (lazy layers, the device
            ``meta``), or they are cut over several processes.

    >>> layer = nn.Linear(2, 2)
    >>> unwrapped(nn.DataParallel(layer), who="teacher") is layer
    True
    """
    while True:
        inner = _inside(network)
        if inner is None:
            break
        network = inner
    if not isinstance(network, nn.Module):
        what = network.__name__ if isinstance(network, type) else type(network).__name__
        said = f"a network is a torch.nn.Module, made and not its class; this is {what}"
        raise ModelError(f"{who}: {said}")
    if not hasattr(network, "_modules"):
        said = "its __init__ does not call super().__init__() before anything else"
        raise ModelError(f"{who} ({type(network).__name__}): {said}")
    problem = _lacks_weights(network)
    if problem is not None:
        raise ModelError(f"{who} ({type(network).__name__}): {problem}")
    return network


def _inside(network: object) -> object | None:
    """What a wrapper holds; None for a network itself."""
    if isinstance(network, torch.export.ExportedProgram):
        return network.module()
    if isinstance(network, WRAPPERS):
        held: nn.Module = network.module
        return held
    if isinstance(network, nn.Module) and "_orig_mod" in getattr(network, "_modules", {}):
        return network._modules["_orig_mod"]  # torch.compile
    return None


def _lacks_weights(network: nn.Module) -> str | None:
    for part in network.modules():
        if type(part).__name__ in ("FullyShardedDataParallel", "FSDPModule"):
            return "its weights are cut over several processes (FSDP); give the whole network"
    tensors = [*network.named_parameters(), *network.named_buffers()]
    for name, value in tensors:
        if is_lazy(value):
            return (
                f"'{name}' is not initialised yet (a lazy layer); run the network once on a batch "
                "before you give it"
            )
        if value.is_meta:
            return f"'{name}' has no values (device meta); load its weights before you give it"
        if hasattr(value, "full_tensor"):
            return f"'{name}' is a part of a tensor that is cut over processes; give the whole one"
    return None


def copied(network: M, *, who: str = "network") -> M:
    """A copy that shares nothing with the network, its modes and frozen parameters included.

    What a layer keeps of its last forward pass (an activation, the weight that ``weight_norm``
    computes) is no weight: the copy has its values, out of autograd.

    Raises:
        ModelError: a part cannot be copied, such as a lock, an open file or a hook on a gradient.

    >>> layer = nn.Linear(2, 2)
    >>> layer.kept = layer(torch.ones(1, 2))
    >>> twin = copied(layer)
    >>> twin.weight is layer.weight, bool((twin.weight == layer.weight).all())
    (False, True)
    """
    for name, value in network.named_parameters():
        if value._backward_hooks or getattr(value, "_post_accumulate_grad_hooks", None):
            raise ModelError(
                f"{who} ({type(network).__name__}): '{name}' has a hook on its gradient, which no "
                f"copy would have; {MAKE} and registers it"
            )
    memo: dict[int, Any] = {
        id(value): value.detach().clone()
        for part in network.modules()
        for value in _tensors(vars(part))
        if not value.is_leaf
    }
    try:
        for part in _scripts(network):  # its deepcopy has parameters that are none
            memo[id(part)] = _loaded_again(part)
        return copy.deepcopy(network, memo)
    except Exception as error:
        at = _uncopyable(network) or type(network).__name__
        said = f"{who} ({type(network).__name__}) cannot be copied: {at} ({_first(error)})"
        raise ModelError(f"{said}; leave that out of the network, or {MAKE}") from error


def _scripts(network: nn.Module) -> list[torch.jit.ScriptModule]:
    """Networks of TorchScript in it, or itself; not the parts that these have."""
    if isinstance(network, torch.jit.ScriptModule):
        return [network]
    return [each for part in network.children() for each in _scripts(part)]


def _loaded_again(script: torch.jit.ScriptModule) -> nn.Module:
    file = io.BytesIO()
    with warnings.catch_warnings():  # TorchScript is the user's choice, and given already
        warnings.filterwarnings("ignore", message="`torch.jit")
        torch.jit.save(script, file)
        file.seek(0)
        loaded: nn.Module = torch.jit.load(file)
    return loaded.train(script.training)


class Scripted(nn.Module):
    """A network of TorchScript within an ordinary module, which can have hooks.

    >>> net = Scripted(nn.Linear(2, 3))
    >>> net(torch.ones(4, 2)).shape
    torch.Size([4, 3])
    """

    def __init__(self, script: nn.Module) -> None:
        super().__init__()
        self.script = script

    def forward(self, *inputs: Any) -> Any:
        """What the network gives."""
        return self.script(*inputs)


def _tensors(held: object) -> Iterator[Tensor]:
    """The tensors that a layer holds as plain attributes, also inside lists and mappings."""
    if isinstance(held, Tensor):
        yield held
    elif isinstance(held, Mapping):
        for value in held.values():
            yield from _tensors(value)
    elif isinstance(held, list | tuple | set):
        for value in held:
            yield from _tensors(value)


def _uncopyable(network: nn.Module) -> str | None:
    """The attribute that cannot be copied, with its layer."""
    for path, part in network.named_modules():
        for name, value in vars(part).items():
            if name.startswith("_") and name in vars(nn.Module()):
                continue
            if isinstance(value, Tensor | nn.Module):
                continue
            try:
                copy.deepcopy(value)
            except Exception:
                return f"its attribute '{path + '.' if path else ''}{name}'"
    return None


def _first(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def own_precision(network: nn.Module) -> torch.dtype | None:
    """The floating-point type of its first parameter; None where it has none.

    >>> own_precision(nn.Linear(2, 2).bfloat16())
    torch.bfloat16
    """
    return next((p.dtype for p in network.parameters() if p.is_floating_point()), None)


def cast_to(network: nn.Module, dtype: torch.dtype, *, who: str) -> None:
    """Bring the weights of a network to another floating-point type, in place.

    Raises:
        ModelError: a weight is too large for it.

    >>> layer = nn.Linear(1, 1)
    >>> cast_to(layer, torch.bfloat16, who="teacher")
    >>> layer.weight.dtype
    torch.bfloat16
    """
    finite = {name: torch.isfinite(each) for name, each in distinct_tensors(network).items()}
    network.to(dtype)
    for name, value in distinct_tensors(network).items():
        lost = int((finite[name] & ~torch.isfinite(value)).sum())
        if lost:
            most = torch.finfo(dtype).max
            said = f"{lost:,} values of '{name}' are beyond {most:g}, the most that {dtype} holds"
            raise ModelError(f"{who}: {said}; take dtype: bfloat16, or leave it out")


def cast_at_border(network: nn.Module) -> None:
    """Let a network that is not in float32 take float32 and give float32, through hooks on it.

    >>> half = nn.Linear(2, 2).bfloat16()
    >>> cast_at_border(half)
    >>> half(torch.ones(1, 2)).dtype
    torch.float32
    """
    own = own_precision(network)
    if own in (None, torch.float32) or isinstance(network, torch.jit.ScriptModule):
        return

    network.register_forward_pre_hook(_cast_inputs)
    network.register_forward_hook(_cast_outputs)


def _cast_inputs(network: nn.Module, inputs: tuple[Any, ...]) -> Any:
    return _cast(inputs, own_precision(network) or torch.float32)


def _cast_outputs(_: nn.Module, _inputs: tuple[Any, ...], outputs: Any) -> Any:
    return _cast(outputs, torch.float32)


def _cast(value: Any, dtype: torch.dtype) -> Any:
    """The same with all floating-point tensors in one type, inside tuples and mappings too."""
    if isinstance(value, Tensor):
        return value.to(dtype) if value.is_floating_point() else value
    if type(value) in (tuple, list):
        return type(value)(_cast(each, dtype) for each in value)
    if type(value) is dict:
        return {key: _cast(each, dtype) for key, each in value.items()}
    return value


def distinct_tensors(network: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by their first name: what is tied is there once.

    >>> tied = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    >>> tied[1].weight = tied[0].weight
    >>> list(distinct_tensors(tied))
    ['0.weight']
    """
    return {**dict(network.named_parameters()), **dict(network.named_buffers())}


def set_eval(network: nn.Module) -> None:
    """Bring a network to eval mode; one that was exported has one mode and stays in it.

    >>> layer = nn.Linear(2, 2)
    >>> set_eval(layer)
    >>> layer.training
    False
    """
    try:
        network.eval()
    except NotImplementedError:  # torch.export: the mode was fixed when it was exported
        for part in network.modules():
            part.training = False
