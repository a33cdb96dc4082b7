"""Where a key belongs that stands in the wrong place of a recipe, or that others call otherwise."""

from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

from stillhouse.errors import nearest
from stillhouse.recipes.plain import OfObject
from stillhouse.recipes.schema import Recipe
from stillhouse.recipes.sections import Place, all_places
from stillhouse.recipes.typed import OF_PYTHON

ELSEWHERE_CALLED = {
    "batch_size": "batch",
    "callbacks": "on_epoch",
    "callback": "on_epoch",
    "dataset": "data",
    "early_stopping": "patience",
    "gradient_accumulation_steps": "accumulate",
    "grad_clip": "clip",
    "learning_rate": "lr",
    "lr_scheduler": "schedule",
    "scheduler": "schedule",
    "max_epochs": "epochs",
    "n_epochs": "epochs",
    "num_epochs": "epochs",
    "num_workers": "workers",
    "optim": "optimizer",
    "optimiser": "optimizer",
    "output_dir": "out",
    "save_dir": "out",
    "seed": "seeds",
    "random_state": "seeds",
    "image_size": "size",
    "img_size": "size",
    "tau": "temperature",
    "T": "temperature",
    "augmentation": "augment",
    "verbose": "quiet",
    "wd": "weight_decay",
}
"""Names of other packages, and what they are called here."""

BARE = {"data": "source", "student": "model", "teacher": "model", "peers": "model"}
"""Sections whose networks or data have a name under another key than ``name``."""
OWN = "model"
"""The choice of a student that is not made out of its teacher."""
NO_DEFAULTS = ("probe", "transfer", "balance", "ema", "tune", "peers", "track")
"""Sections that are off where nothing is said of them."""
ALIKE = 0.75
"""How much a misspelt key must resemble one of another section to be taken for it."""
THE_SAME = 0.9
"""How much it must resemble one of its own section to be a slip of the finger."""


def belongs(
    key: str,
    value: Any,
    given: Mapping[str, Any],
    *,
    inside: Sequence[str] = (),
    own: Sequence[str] = (),
    call: Sequence[str] = (),
    dotted: bool = False,
) -> str:
    """Say of a key that is not known where it stands what it may be, and how it is written.

    Args:
        key: that was given.
        value: its value.
        given: the whole recipe.
        inside: the section in which it stands.
        own: the keys of that section.
        call: of a call from Python, its own arguments; then the answer is one of Python, too.
        dotted: of the command line, where a key is written as ``--set section.key=value``.

    >>> belongs("temperature", 3, {"method": "kd"})
    'temperature is a setting of the method kd: method: {name: kd, temperature: 3}'
    >>> belongs("lr", 0.1, {"method": "kd"}, call=["data"])
    "lr is a setting of the optimizer sgd: optimizer={'name': 'sgd', 'lr': 0.1}"
    >>> belongs("temperature", 4, {"method": "kd"}, dotted=True)
    'temperature is a setting of the method kd: --set method.temperature=4'
    """
    at_top = () if inside else (*own, *call)
    if call and tuple(inside) == ("data",):
        own = (*own, *OF_PYTHON)
    here = list(dict.fromkeys([*own, *at_top]))
    if call and key == "data_options":
        return f"its keys stand beside the source of the data: {_with_source(value, given)}"
    known = ELSEWHERE_CALLED.get(key, key)
    if known != key and known in at_top:
        shown = _dotted((), known, value) if dotted else _written((), known, value, given, call)
        return f"it is called {known} here: {shown}"
    places = (*all_places(), *(Place(("data",), "", each) for each in OF_PYTHON if call))
    found = [
        place for place in places
        if (place.key == known and place.path != tuple(inside))
        or (place.key == known and place.choice not in ("", _chosen(place.path, given)))
    ]  # fmt: skip
    found = found or _prefixed(key, given)
    if found and max((_likeness(key, each) for each in here), default=0.0) < THE_SAME:
        return _told(found, value, given, call, renamed=found[0].key != key, dotted=dotted)
    close = None if found else _misspelt(key, given, here)
    if close is not None:
        near = f"nearest: {close.key}"
        return f"{near}; {_told([close], value, given, call, dotted=dotted)}"
    return nearest(key, here)


def _prefixed(key: str, given: Mapping[str, Any]) -> list[Place]:
    """The places of a key that is written with its section: teacher_weights."""
    section, _, rest = key.partition("_")
    return [
        place for place in all_places()
        if place.path == (section,) and place.key == rest and _in_use(place, given)
    ]  # fmt: skip


def _likeness(key: str, other: str) -> float:
    return SequenceMatcher(None, key.lower(), other.lower()).ratio()


def _misspelt(key: str, given: Mapping[str, Any], own: Sequence[str]) -> Place | None:
    """The setting of a section in use that a key resembles more than any key where it stands."""
    in_use = [p for p in all_places() if p.path and p.choice in ("", _chosen(p.path, given))]
    best = max(in_use, key=lambda place: _likeness(key, place.key))
    bar = max([ALIKE, *(_likeness(key, each) for each in own)])
    return best if _likeness(key, best.key) > bar else None


def _told(
    found: Sequence[Place],
    value: Any,
    given: Mapping[str, Any],
    call: Sequence[str],
    *,
    renamed: bool = False,
    dotted: bool = False,
) -> str:
    """In words where it belongs: what is in use first, then what has the fewest levels."""
    ranked = sorted(
        found, key=lambda p: (not _in_use(p, given), p.choice not in ("", OWN), len(p.path))
    )
    first = ranked[0]
    said = f"{first.key} is a key of the recipe itself, beside its sections"
    if call:
        said = f"{first.key} is an argument of its own"
    if first.path:
        names = [p.choice for p in ranked if p.path == first.path and p.choice not in ("", OWN)]
        who = first.path[0] if len(first.path) == 1 else ".".join(first.path)
        if names and _in_use(first, given):
            who = f"the {who} {first.choice}"
        elif names:
            who = f"the {who} {_some(names)}, not of {_chosen(first.path, given)}"
        also = [
            ".".join(p.path) for p in ranked
            if p.path != first.path and not {"head", "members"} & set(p.path) and _in_use(p, given)
        ]  # fmt: skip
        others = f" (and of {_some(list(dict.fromkeys(also)))})" if also else ""
        said = f"{first.key} is a setting of {who}{others}"
    if renamed:
        said = f"it is called {first.key} here, and {said}"
    name = first.choice if first.path else ""
    if dotted and _in_use(first, given):
        return f"{said}: {_dotted(first.path, first.key, value)}"
    if dotted:
        whole = _written(first.path, first.key, value, given, call, name)
        return f"{said}: --set '{whole.replace(': ', '=', 1)}'"
    return f"{said}: {_written(first.path, first.key, value, given, call, name)}"


def _dotted(path: Sequence[str], key: str, value: Any) -> str:
    """How a key is written on the command line; a shell would read brackets and blanks."""
    shown = _short(value if key != "seeds" or isinstance(value, list) else [value], python=False)
    said = f"{'.'.join((*path, key))}={shown}"
    return f"--set {said}" if set(said).isdisjoint("[]{} *?&;|<>()") else f"--set '{said}'"


def _in_use(place: Place, given: Mapping[str, Any]) -> bool:
    if place.path and place.path[0] in NO_DEFAULTS and given.get(place.path[0]) is None:
        return False
    if place.path and place.path[0] == "teacher" and given.get("teacher") is None:
        return False
    return not place.path or place.choice in ("", _chosen(place.path, given))


def _chosen(path: Sequence[str], given: Mapping[str, Any]) -> str:
    """The name that a recipe gives in a section of several kinds, or its default."""
    here: Any = given
    for part in path:
        here = here.get(part) if isinstance(here, Mapping) else None
    if tuple(path) == ("student",):
        return str(here.get("derive", OWN)) if isinstance(here, Mapping) else OWN
    if isinstance(here, Mapping):
        here = here.get("name")
    if isinstance(here, str):
        return here
    field = Recipe.model_fields.get(path[0]) if len(path) == 1 else None
    return field.default if field is not None and isinstance(field.default, str) else ""


def _written(
    path: Sequence[str],
    key: str,
    value: Any,
    given: Mapping[str, Any],
    call: Sequence[str],
    choice: str = "",
) -> str:
    """How a key is written where it belongs, in Python or in a recipe."""
    if key == "seeds" and not isinstance(value, list):
        value = [value]
    shown: Any = _Text(_short(value, python=bool(call)))
    if not path:
        return f"{key}={shown}" if call else f"{key}: {shown}"
    inner: dict[str, Any] = {key: shown}
    for depth in range(len(path) - 1, -1, -1):
        name = _head(path[: depth + 1], given, choice if depth == len(path) - 1 else "")
        inner = {**name, **inner}
        if depth:
            inner = {path[depth]: inner}
    if call:
        return f"{path[0]}={_python(inner)}"
    return f"{path[0]}: {_yaml(inner)}"


def _head(path: Sequence[str], given: Mapping[str, Any], choice: str) -> dict[str, Any]:
    """The key of a section that says which it is, and what it says."""
    here: Any = given
    for part in path:
        here = here.get(part) if isinstance(here, Mapping) else None
    if tuple(path) == ("student",) and choice not in ("", OWN):
        return {"derive": choice}
    bare = BARE.get(path[-1])
    if bare is not None:
        name = here.get(bare) if isinstance(here, Mapping) else here
        shown = _Text("...") if isinstance(name, OfObject) else name
        return {} if not isinstance(name, str) else {bare: shown}
    return {"name": choice} if choice else {}


class _Text(str):
    """What is written already."""

    __slots__ = ()


def _with_source(options: Any, given: Mapping[str, Any]) -> str:
    """The section of the data that a mapping of its other keys is part of, in Python."""
    keys = options if isinstance(options, Mapping) else {}
    shown = {str(key): _Text(_short(each, python=True)) for key, each in keys.items()}
    rest = shown or {"size": _Text("64")}
    return f"data={_python({**_head(['data'], given, ''), **rest})}"


def _short(value: Any, *, python: bool) -> str:
    if isinstance(value, Mapping) and len(value) <= 4:
        inner = {str(key): _Text(_short(each, python=python)) for key, each in value.items()}
        text = _python(inner) if python else _yaml(inner)
        return text if len(text) <= 60 else "..."
    plain = isinstance(value, str | int | float | bool) or value is None
    if not plain and not (isinstance(value, list) and len(value) <= 4):
        return "..."
    text = repr(value) if python else _yaml(value)
    return text if len(text) <= 60 else "..."


def _python(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {_python(each)}" for key, each in value.items()) + "}"
    return str(value) if isinstance(value, _Text) else repr(value)


def _yaml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_yaml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_yaml, value)) + "]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def _some(names: Sequence[str]) -> str:
    """At most three.

    >>> _some(["a", "b"]), _some(["a", "b", "c", "d"])
    ('a and b', 'a, b and 2 others')
    """
    if len(names) > 3:
        return f"{', '.join(names[:2])} and {len(names) - 2} others"
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
