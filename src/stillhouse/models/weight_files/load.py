"""Weights from a file into a module: everything is checked before the module is changed."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from stillhouse.errors import WeightsError, WeightsMisfit, nearest
from stillhouse.models.weight_files.by_packages import renamed_by_packages
from stillhouse.models.weight_files.expected import Expected
from stillhouse.models.weight_files.naming import Naming, loose, namings, overlap
from stillhouse.models.weight_files.read import read_weights, weights_in
from stillhouse.models.weight_files.states import HeldState, described, flattened, states_in
from stillhouse.models.weight_files.text import some
from stillhouse.models.weight_files.trial import (
    Option,
    option,
    other_classes,
    put,
    put_back,
    same,
    shape_faults,
    tried,
    value_faults,
)

TRIALS = 12
"""Ways of reading a file that a module is asked about, where its own names say nothing."""


@dataclass(frozen=True, slots=True)
class LoadedWeights:
    """Which part of a file was read, and what was not.

    Args:
        file: that was read; of a folder, the one inside.
        key: under which it lies in the file; empty for the file itself.
        prefix: that its names bear.
        left: names of the file that were not taken.
        new_head: path of the classifier that was not taken.
        fresh: names of the module that were not taken, with those of further classifiers.
    """

    file: Path
    key: str = ""
    prefix: str = ""
    left: tuple[str, ...] = ()
    new_head: str | None = None
    fresh: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether the file is just these weights, so that nothing has to be said of it."""
        return not (self.key or self.prefix or self.left or self.new_head)

    def __str__(self) -> str:
        parts = [f"weights of {self.file.name}"]
        if self.key:
            parts.append(f"under '{self.key}'")
        if self.prefix:
            parts.append(f"with prefix '{self.prefix}'")
        if self.new_head is not None:
            parts.append(f"with a new classifier ({self.new_head}), which has to be trained")
        left = f"; {len(self.left)} names are not taken ({some(self.left)})" if self.left else ""
        return " ".join(parts) + left


def load_weights(
    module: nn.Module,
    path: str | os.PathLike[str],
    *,
    key: str | None = None,
    prefix: str | None = None,
    new_head: str | None = None,
) -> LoadedWeights:
    """Copy the weights of a file into `module`; what the file is, its content says.

    Reads safetensors, what torch.save writes (with ``weights_only=True``; harmless values beside
    the tensors are let through), shards by their index, and folders that hold one of these, as
    those of Hugging Face do. The state dict may lie under any key. A prefix of its names is
    dropped where the rest is what the module needs, and so is what wrappers put into names. The
    module's own ``load_state_dict`` decides, so it may rename keys itself; tensors that are one
    in the module need one name in the file, and counters of batch norms none.

    Args:
        module: receives the weights; keeps its device, dtypes and layout.
        path: file or folder to read.
        key: of the state dict, such as 'ema' or 'ema.state_dict', where several would do.
        prefix: of its names, such as 'student.', where several would do; the rest is left.
        new_head: path of a classifier that is not taken from the file, which may be for other
            classes; it stays as it is.

    Returns:
        Which part of the file was read, and what was left.

    Raises:
        WeightsError: the file is missing, damaged, of another kind, holds code, does not fit (a
            `WeightsMisfit`), fits in more than one way, or holds values that are not finite;
            `module` is then as it was.

    >>> import tempfile
    >>> from safetensors.torch import save_file
    >>> source, target = nn.Linear(3, 2), nn.Linear(3, 2)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = f"{folder}/linear.safetensors"
    ...     save_file({f"module.{k}": v for k, v in source.state_dict().items()}, file)
    ...     print(load_weights(target, file))
    weights of linear.safetensors
    >>> (source.weight - target.weight).abs().sum().item()
    0.0
    """
    file = weights_in(path)
    content = read_weights(file)
    model = Expected(module, new_head)
    states = _wanted(states_in(content), key, prefix, content, file)
    ways = [
        option(state, naming, model) for state in states for naming in namings(_n(state), model)
    ]
    whole = flattened(content)
    if not ways and whole is not None and key is None and prefix is None:
        ways = [option(whole, naming, model) for naming in namings(_n(whole), model)]
    if not ways:
        known = [made for s in states if (made := renamed_by_packages(s, module)) is not None]
        ways = [option(s, naming, model) for s in known for naming in namings(_n(s), model)]
    fits = [way for way in ways if not shape_faults(way, model)]
    if not fits:
        more = [option(s, naming, model) for s in states for naming in loose(_n(s), model)]
        asked = sorted(more, key=lambda way: -overlap(way.naming, model.values))[:TRIALS]
        fits = [way for way in (*ways, *asked) if not tried(way, model)]
        if not fits:
            best = max((*ways, *more), key=lambda way: overlap(way.naming, model.values))
            raise WeightsMisfit(_misfit(best, model, file))
    found = _only(fits, model, file)
    faults = value_faults(found, model)
    if not faults:
        with put_back(module):
            faults = put(found, model)
            if faults:
                raise WeightsError(_does_not_fit(file, model, faults))
        begun = prefix or found.naming.prefix
        return LoadedWeights(file, found.state.key, begun, found.left, new_head, found.fresh)
    raise WeightsError(
        f"weights file '{file}' is not loaded into {type(module).__name__}: {'; '.join(faults)}. "
        "Take another checkpoint of the training"
    )


def _n(state: HeldState) -> Sequence[str]:
    return list(state.values)


def _wanted(
    states: list[HeldState], key: str | None, prefix: str | None, content: object, file: Path
) -> list[HeldState]:
    """The state dicts that are asked for."""
    if not states:
        raise WeightsError(
            f"weights file '{file}' holds no state dict but {described(content)}; save the state "
            "dict itself, or under a key: {'state_dict': model.state_dict()}"
        )
    if key is not None:
        known = [state.key for state in states]
        states = [state for state in states if state.key == key]
        if not states:
            there = [each for each in known if each]
            said = nearest(key, there) if there else "its state dict lies under no key"
            raise WeightsError(f"weights_key '{key}': '{file}' has no state dict there; {said}")
    if prefix is None:
        return states
    wanted = prefix if prefix.endswith(".") or not prefix else f"{prefix}."
    found = [inner for state in states if (inner := state.under(wanted)).values]
    if not found:
        begun = dict.fromkeys(
            f"{name.partition('.')[0]}." for state in states for name in state.values if "." in name
        )
        raise WeightsError(
            f"weights_prefix '{prefix}': no name in '{file}' begins so; {nearest(wanted, begun)}"
        )
    return found


def _only(fits: Sequence[Option], model: Expected, file: Path) -> Option:
    """The one way that fits; several are one where they give the same values."""
    distinct: list[Option] = []
    for way in fits:
        if not any(same(way, other) for other in distinct):
            distinct.append(way)
    first = distinct[0]
    if len(distinct) == 1:
        return first
    told = [_place(way) for way in distinct]
    by_key = len({way.state.key for way in distinct}) == len(distinct)
    asked = "weights_key" if by_key else "weights_prefix"
    example = distinct[-1].state.key if by_key else _prefix_of(distinct[-1].naming)
    raise WeightsError(
        f"weights file '{file}' holds {len(distinct)} sets of weights that all fit "
        f"{type(model.module).__name__}: {', '.join(told)}; say which, such as {asked}: "
        f"{example or repr('')}"
    )


def _place(way: Option) -> str:
    key, prefix = way.state.key, _prefix_of(way.naming)
    inner = f"names with '{prefix}'" if prefix else "names as they are"
    return f"'{key}'" if key and not prefix else f"'{key}', {inner}" if key else inner


def _prefix_of(naming: Naming) -> str:
    """What stands in the file before the names that are taken."""
    name, real = next(iter(naming.names.items()))
    ending = real.removeprefix(naming.base)
    return name.removesuffix(ending) if name.endswith(ending) else naming.prefix


def _misfit(best: Option, model: Expected, file: Path) -> str:
    """What keeps the way that fits best from fitting."""
    unlike = shape_faults(best, model)
    missing = model.missing([*best.values, *best.fresh])
    unexpected = [name for name, new in best.naming.names.items() if new not in model.values]
    told = ((missing, "missing"), (unexpected, "unexpected"), (unlike, "of another shape or kind"))
    faults = [f"{len(names)} {word} ({some(names)})" for names, word in told if names]
    if best.state.key:
        faults[:1] = [f"under '{best.state.key}' are {each}" for each in faults[:1]]
    if unlike and not missing and not unexpected and model.new_head is None:
        names = [line.partition(":")[0] for line in unlike]
        classes = other_classes({name: best.values[name] for name in names}, model)
        if classes is not None:
            paths = list(dict.fromkeys(name.rpartition(".")[0] for name in names))
            return (
                f"weights file '{file}' is for {classes[0]} classes ({', '.join(paths)}), the "
                f"model for {classes[1]}; say weights_head: new to take all but its classifier, "
                "which then starts fresh and has to be trained (in Python: "
                f"load_weights(..., new_head='{paths[-1]}'))"
            )
    return _does_not_fit(file, model, faults or tried(best, model))


def _does_not_fit(file: Path, model: Expected, faults: Sequence[str]) -> str:
    return (
        f"weights file '{file}' does not fit {type(model.module).__name__}: {'; '.join(faults)}. "
        "Build the model with the name, classes and channels it was trained with"
    )
