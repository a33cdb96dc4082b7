"""Which tensor of a file is which of a module, where a training code named them its own way."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from stillhouse.models.weight_files.expected import (
    COUNTER,
    Expected,
    plain_name,
    shared_prefix,
)

# Counters that averaging and profilers put beside weights; they say nothing of these.
COUNTS = ("n_averaged", "total_ops", "total_params")
PROBES = 4
"""Names of a module that are looked for in a file, to see what stands before them."""


@dataclass(frozen=True, slots=True)
class Naming:
    """How names of a file become those of a module.

    Args:
        prefix: that was dropped.
        names: of the module, by those of the file.
        left: names of the file that are not taken.
        base: that was put before.
    """

    prefix: str
    names: Mapping[str, str]
    left: tuple[str, ...] = ()
    base: str = ""


def namings(names: Sequence[str], model: Expected) -> list[Naming]:
    """All ways in which the names of a file can be just those that a module needs.

    Where the names fit as they are, that is the only way. Otherwise a prefix may be dropped (what
    bears another one is left), what wrappers put into names may go, and a prefix that all names of
    the module bear may be lacking.

    >>> from torch import nn
    >>> names = ["n_averaged", "module.0.weight", "module.0.bias"]
    >>> (found,) = namings(names, Expected(nn.Sequential(nn.Linear(2, 2))))
    >>> found.names, found.left
    ({'module.0.weight': '0.weight', 'module.0.bias': '0.bias'}, ('n_averaged',))
    """
    same = _under("", {name: name for name in names}, {name: name for name in model.values}, model)
    if same is not None:
        return [same]
    spelled = {name: plain_name(name) for name in names}
    found = [_under(prefix, spelled, model.plain, model) for prefix in _prefixes(spelled, model)]
    if not any(found) and model.base:
        bare = {name.removeprefix(model.base): real for name, real in model.plain.items()}
        whole = shared_prefix([name for name in spelled.values() if name not in COUNTS])
        found = [
            _under(prefix, spelled, bare, model, model.base)
            for prefix in dict.fromkeys(("", *_ends(whole)))
        ]
    return [naming for naming in found if naming is not None]


def loose(names: Sequence[str], model: Expected) -> list[Naming]:
    """Ways to read names that a module may rename itself: as they are, or without a prefix."""
    spelled = {name: plain_name(name) for name in names}
    whole = shared_prefix([name for name in spelled.values() if name not in COUNTS])
    ways = [{name: name for name in names}, spelled]
    ways += [
        {name: plain.removeprefix(prefix) for name, plain in spelled.items()}
        for prefix in _ends(whole)
    ]
    found: list[Naming] = []
    prefixes = ["", "", *_ends(whole)]
    for prefix, way in zip(prefixes, ways, strict=True):
        left = tuple(name for name in way if _counts(name) and way[name] not in model.values)
        kept = {name: new for name, new in way.items() if name not in left}
        naming = Naming(prefix, kept, left)
        if len(set(kept.values())) == len(kept) and all(naming.names != o.names for o in found):
            found.append(naming)
    return found


def _under(
    prefix: str,
    spelled: Mapping[str, str],
    wanted: Mapping[str, str],
    model: Expected,
    base: str = "",
) -> Naming | None:
    """The naming under a prefix, if it gives just what is needed."""
    taken: dict[str, str] = {}
    given: set[str] = set()
    left = []
    for name, plain in spelled.items():
        if not plain.startswith(prefix):
            left.append(name)
            continue
        rest = plain[len(prefix) :]
        real = wanted.get(rest)
        if model.fresh(rest if real is None else real):
            continue
        if real is not None and real not in given:
            taken[name] = real
            given.add(real)
        elif _counts(name):
            left.append(name)
        else:
            return None
    if not taken or model.missing(given):
        return None
    return Naming(prefix, taken, tuple(left), base)


def _prefixes(spelled: Mapping[str, str], model: Expected) -> Iterable[str]:
    """What may stand before the names of a module, none first."""
    needed = [
        name
        for name, real in model.plain.items()
        if name.rpartition(".")[2] != COUNTER and not model.fresh(real)
    ]
    step = max(1, len(needed) // PROBES)
    found: dict[str, None] = {"": None}
    for probe in needed[::step]:
        ending = f".{probe}"
        found |= {
            plain[: -len(probe)]: None for plain in spelled.values() if plain.endswith(ending)
        }
    return found


def _ends(prefix: str) -> list[str]:
    """A prefix of several words, word by word.

    >>> _ends("net.model.")
    ['net.', 'net.model.']
    """
    words = prefix.split(".")[:-1]
    return ["".join(f"{word}." for word in words[: at + 1]) for at in range(len(words))]


def _counts(name: str) -> bool:
    return name.rpartition(".")[2] in COUNTS


def overlap(naming: Naming, wanted: Collection[str]) -> int:
    """How many names of a module a naming gives."""
    return sum(name in wanted for name in naming.names.values())
