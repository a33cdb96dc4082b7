"""What a module expects of a state dict: names, shapes, and which of them are one tensor."""

from collections.abc import Collection, Mapping
from functools import cached_property
from typing import Any

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

COUNTER = "num_batches_tracked"
"""Of batch norms since torch 0.4; files without it are filled in by torch itself."""

WRAPPERS = frozenset(("module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"))
"""What data-parallel wrappers, torch.compile and others put into names, at any depth."""


def plain_name(name: str) -> str:
    """A name without what wrappers put into it.

    >>> plain_name("module.features._orig_mod.0.weight")
    'features.0.weight'
    """
    return ".".join(part for part in name.split(".") if part not in WRAPPERS)


def shared_prefix(names: Collection[str]) -> str:
    """The longest prefix of whole words that all names bear; no name is only that.

    >>> shared_prefix(["net.model.fc.weight", "net.model.fc.bias"])
    'net.model.fc.'
    """
    split = [name.split(".")[:-1] for name in names]
    if not split:
        return ""
    shared = []
    for words in zip(*split, strict=False):
        if len(set(words)) > 1:
            break
        shared.append(words[0])
    return "".join(f"{word}." for word in shared)


class Expected:
    """What a module expects.

    Args:
        module: that receives weights.
        new_head: path of a classifier that is not taken from a file.

    Raises:
        ValueError: the module has no such path.
    """

    def __init__(self, module: nn.Module, new_head: str | None = None) -> None:
        self.module = module
        self.new_head = new_head
        self.values: Mapping[str, Any] = module.state_dict(keep_vars=True)
        self.parameters = {name for name, _ in module.named_parameters(remove_duplicate=False)}

    @cached_property
    def plain(self) -> Mapping[str, str]:
        """Names without wrappers, to those of the module."""
        spelled = {plain_name(name): name for name in self.values}
        return spelled if len(spelled) == len(self.values) else {name: name for name in self.values}

    @cached_property
    def base(self) -> str:
        """A prefix of all its plain names, which a file may lack."""
        return shared_prefix(self.plain)

    def fresh(self, name: str) -> bool:
        """Whether a name belongs to the classifier that is not taken from the file."""
        return self.new_head is not None and (
            name == self.new_head or name.startswith(f"{self.new_head}.")
        )

    @property
    def head_classes(self) -> int | None:
        """How many classes the new classifier tells apart, by its tensors."""
        sizes = [v.shape[0] for name, v in self._tensors.items() if self.fresh(name) and v.dim()]
        return sizes[-1] if sizes else None

    def missing(self, names: Collection[str]) -> list[str]:
        """Names that are not among those and are needed.

        Not needed are counters of batches, the classifier that is not taken, and names of a
        tensor that is there under another name.
        """
        absent = [name for name in self.values if name not in names]
        needed = [
            name for name in absent if name.rpartition(".")[2] != COUNTER and not self.fresh(name)
        ]
        if not needed:
            return []
        here = [_Place.of(self._tensors[name]) for name in names if name in self._tensors]
        return [
            name
            for name in needed
            if name not in self._tensors
            or not any(place.covers(_Place.of(self._tensors[name])) for place in here)
        ]

    def one_tensor(self, names: Collection[str]) -> list[list[str]]:
        """Those of the names that are one tensor in the module, together."""
        groups: dict[int, list[str]] = {}
        for name in names:
            if name in self._tensors:
                groups.setdefault(id(self._tensors[name]), []).append(name)
        return [group for group in groups.values() if len(group) > 1]

    @cached_property
    def _tensors(self) -> Mapping[str, Tensor]:
        return {
            name: value
            for name, value in self.values.items()
            if isinstance(value, Tensor) and not is_lazy(value)
        }


class _Place:
    """Where in memory a tensor lies."""

    def __init__(self, storage: object, start: int, stop: int, whole: bool) -> None:
        self.storage, self.start, self.stop, self.whole = storage, start, stop, whole

    @staticmethod
    def of(tensor: Tensor) -> "_Place":
        if tensor.is_meta or not tensor.numel() or str(tensor.layout) != "torch.strided":
            return _Place(id(tensor), 0, 1, True)
        steps = zip(tensor.shape, tensor.stride(), strict=True)
        extent = 1 + sum((side - 1) * step for side, step in steps)
        size, start = tensor.element_size(), int(tensor.storage_offset())
        storage = (tensor.device, tensor.untyped_storage().data_ptr())
        return _Place(storage, start * size, (start + extent) * size, extent == tensor.numel())

    def covers(self, other: "_Place") -> bool:
        return (
            self.whole
            and self.storage == other.storage
            and self.start <= other.start
            and other.stop <= self.stop
        )
