"""Whether a state dict fits a module: shapes, values, and the module's own word."""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from stillhouse.models.weight_files.expected import COUNTER, Expected, plain_name
from stillhouse.models.weight_files.naming import Naming
from stillhouse.models.weight_files.states import HeldState
from stillhouse.models.weight_files.text import kind_of, some


@dataclass(frozen=True)
class Option:
    """One way to fill a module from a file: a state dict under names of the module.

    Args:
        state: of the file.
        naming: of its tensors.
        values: by names of the module, shaped as those where only a dimension of 1 differs.
        fresh: names of the module that keep what they are: a new classifier's.
    """

    state: HeldState
    naming: Naming
    values: Mapping[str, Any]
    fresh: tuple[str, ...] = ()

    @property
    def left(self) -> tuple[str, ...]:
        """Names of the file that are not taken."""
        return (*self.state.left, *self.naming.left)


def option(state: HeldState, naming: Naming, model: Expected) -> Option:
    """The values of a file under the names of a module, without those of a new classifier."""
    given = {new: state.values[name] for name, new in naming.names.items()}
    values = {name: _shaped(value, model.values.get(name)) for name, value in given.items()}
    fresh = [name for name in model.values if model.fresh(name)]
    if model.new_head is not None:
        # Further classifiers, as those of distillation tokens, are for other classes, too.
        unlike = {name: value for name, value in values.items() if not _fits(name, value, model)}
        classes = other_classes(unlike, model)
        if classes is not None and classes[1] == model.head_classes:
            fresh += [name for name in unlike if name not in fresh]
    values = {name: value for name, value in values.items() if name not in fresh}
    return Option(state, naming, values, tuple(fresh))


def shape_faults(option: Option, model: Expected) -> list[str]:
    """What is of another shape, a sentence each."""
    return [
        f"{name}: file {kind_of(value)}, model {kind_of(model.values[name])}"
        for name, value in option.values.items()
        if name in model.values and not _fits(name, value, model)
    ]


def other_classes(unlike: Mapping[str, Any], model: Expected) -> tuple[int, int] | None:
    """How many classes file and module have, where that alone is what differs."""
    pairs = set()
    for name, value in unlike.items():
        wanted = model.values[name]
        if not isinstance(value, Tensor) or not isinstance(wanted, Tensor):
            return None
        if not value.dim() or not wanted.dim() or value.shape[1:] != wanted.shape[1:]:
            return None
        if value.shape[0] == wanted.shape[0]:
            return None
        pairs.add((value.shape[0], wanted.shape[0]))
    return pairs.pop() if len(pairs) == 1 else None


def value_faults(option: Option, model: Expected) -> list[str]:
    """What a copy into the module would change or make useless, a sentence each."""
    faults = []
    lost, undefined = [], []
    for name, value in option.values.items():
        wanted = model.values.get(name)
        if isinstance(value, Tensor) and isinstance(wanted, Tensor) and not is_lazy(wanted):
            if not _kept(name, value, wanted):
                lost.append(f"{name}: file {kind_of(value)}, model {kind_of(wanted)}")
            elif not _defined(value, wanted, buffer=name not in model.parameters):
                undefined.append(name)
    if lost:
        faults.append(f"{len(lost)} would lose their values ({some(lost)})")
    if undefined:
        faults.append(f"{len(undefined)} hold values that are not finite ({some(undefined)})")
    for group in model.one_tensor(option.values):
        first, *others = (option.values[name] for name in group)
        if not all(_equal(first, other) for other in others):
            faults.append(f"{', '.join(group)} are one tensor in the model and differ in the file")
    return faults


def same(one: Option, other: Option) -> bool:
    """Whether two ways fill a module with the same values."""
    return one.values.keys() == other.values.keys() and all(
        _equal(value, other.values[name]) for name, value in one.values.items()
    )


def put(option: Option, model: Expected) -> list[str]:
    """Have the module load the values itself; gives what it says is wrong.

    Its own ``load_state_dict`` decides, with what it does to old names and versions. Where that
    misses counters, a new classifier, or another name of a tensor that is there, nothing is wrong.
    """
    module, state = model.module, _state_dict(option, model)
    if cut := [name for name, value in option.values.items() if _is_cut(value, model, name)]:
        return [each for each in shape_faults(option, model) if each.partition(":")[0] in cut]
    try:
        module.load_state_dict(state)
    except Exception as refused:  # a module's own code may raise anything
        try:
            found = module.load_state_dict(state, strict=False)
            missing, unexpected = found.missing_keys, found.unexpected_keys
        except Exception:  # as above
            lines = [line.strip() for line in str(refused).splitlines() if line.strip()]
            return [line.rstrip(".") for line in lines[1:] or lines][:2]
        missing = model.missing([name for name in model.values if name not in missing])
        told = ((missing, "missing"), (unexpected, "unexpected"))
        return [f"{len(names)} {word} ({some(names)})" for names, word in told if names]
    return []


@contextmanager
def put_back(module: nn.Module) -> Iterator[None]:
    """Gives a module the values back that it had, if what is inside raises."""
    kept = {
        name: value.detach().clone()
        for name, value in module.state_dict(keep_vars=True).items()
        if isinstance(value, Tensor) and not is_lazy(value) and not value.is_meta
    }
    try:
        yield
    except BaseException:
        now = module.state_dict(keep_vars=True)
        with torch.no_grad():
            for name, value in kept.items():
                now[name].copy_(value)
        raise


class _Tried(Exception):  # noqa: N818  (no error: the way out of `put_back`)
    """A trial is over."""


def tried(option: Option, model: Expected) -> list[str]:
    """What the module says is wrong; it is then as it was."""
    faults: list[str] = []
    try:
        with put_back(model.module):
            faults = put(option, model)
            raise _Tried
    except _Tried:
        return faults


def _state_dict(option: Option, model: Expected) -> "OrderedDict[str, Any]":
    state = OrderedDict(option.values)
    for name in option.fresh:
        state[name] = model.values[name]
    versions = option.state.versions
    if versions:
        real = {plain_name(path): path for path, _ in model.module.named_modules()}
        moved = OrderedDict()
        for path, version in versions.items():
            plain = f"{plain_name(path)}."
            if plain.startswith(option.naming.prefix) or plain == ".":
                inner = (option.naming.base + plain[len(option.naming.prefix) :]).strip(".")
                moved[real.get(inner, inner)] = version
        state._metadata = moved  # type: ignore[attr-defined]
    return state


def _shaped(value: Any, wanted: Any) -> Any:
    """One number is one number, whether its tensor has a dimension or not."""
    if not isinstance(value, Tensor) or not isinstance(wanted, Tensor) or is_lazy(wanted):
        return value
    single = value.numel() == wanted.numel() == 1 and max(value.dim(), wanted.dim()) == 1
    return value.reshape(wanted.shape) if single and value.shape != wanted.shape else value


def _fits(name: str, value: Any, model: Expected) -> bool:
    wanted = model.values.get(name)
    if not isinstance(value, Tensor) or not isinstance(wanted, Tensor) or is_lazy(wanted):
        return True  # the module itself decides
    return value.shape == wanted.shape and value.layout == wanted.layout and not value.is_meta


def _is_cut(value: Any, model: Expected, name: str) -> bool:
    """Whether old versions of torch would take the first of many numbers for the one wanted."""
    wanted = model.values.get(name)
    if not isinstance(value, Tensor) or not isinstance(wanted, Tensor) or is_lazy(wanted):
        return False
    return wanted.dim() == 0 and value.dim() == 1 and len(value) > 1


def _kept(name: str, value: Tensor, wanted: Tensor) -> bool:
    """Whether numbers stay what they are, but for precision."""
    if value.is_complex() and not wanted.is_complex():
        return False
    whole = wanted.is_floating_point() or wanted.is_complex() or not value.is_floating_point()
    if whole or name.rpartition(".")[2] == COUNTER:  # averaged counters are cut, as torch does
        return True
    return bool(torch.equal(value.to(wanted.dtype).double(), value.double()))


def _defined(value: Tensor, wanted: Tensor, *, buffer: bool) -> bool:
    """Whether all is finite: NaN never, infinity in a mask, or where the model has it, too."""
    if not value.is_floating_point() and not value.is_complex():
        return True
    if value.layout != torch.strided or value.is_quantized:
        return True
    here = value.to(wanted.dtype) if wanted.is_floating_point() else value
    here = here.float() if here.is_floating_point() and here.element_size() == 1 else here
    if bool(torch.isfinite(here).all()):
        return True
    if bool(torch.isnan(here).any()):
        return False
    if buffer:
        return not bool((torch.isinf(here) & torch.isfinite(value).to(here.device)).any())
    infinite = torch.isinf(here)
    own = wanted.detach().to(here.device)
    return own.shape == here.shape and bool((own[infinite] == here[infinite]).all())


def _equal(one: Any, other: Any) -> bool:
    if not isinstance(one, Tensor) or not isinstance(other, Tensor):
        return type(one) is type(other) and bool(one == other)
    if one is other:
        return True
    return one.shape == other.shape and one.dtype == other.dtype and bool(torch.equal(one, other))
