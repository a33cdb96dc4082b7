"""Short names of arms: of names that are made of settings, only what tells the arms apart."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

METHOD = "method"
SYMBOLS = {"temperature": "T"}
"""What a setting is called in the field, where that is shorter."""
SETTING = r"[\w.]+=[^,]*"


@dataclass(frozen=True)
class _Parts:
    """``kd temperature=2.0, weight=9.0`` taken apart: kd, and its settings."""

    head: str
    settings: Mapping[str, str]


def short_names(names: Iterable[str]) -> dict[str, str]:
    """Return a short name for each name; one that a person chose stays as it is.

    Settings that all arms with settings share are left out, and a method that all share; numbers
    lose their empty decimals. Names that would be the same then are left in full.

    >>> short_names(["kd temperature=2.0, weight=9.0", "kd temperature=4.0, weight=9.0"])
    {'kd temperature=2.0, weight=9.0': 'T 2', 'kd temperature=4.0, weight=9.0': 'T 4'}
    >>> list(short_names(["method=kd, weight=3.0", "method=kd, weight=0.5", "dkd"]).values())
    ['kd weight 3', 'kd weight 0.5', 'dkd']
    """
    parts = {name: _parts(name) for name in names}
    told = [each for each in parts.values() if each.settings]
    common = {
        key
        for key in {key for each in told for key in each.settings}
        if len(told) > 1 and len({each.settings.get(key) for each in told}) == 1
    }
    heads = len({each.head for each in parts.values()}) > 1
    short = {name: _said(each, common, heads) or name for name, each in parts.items()}
    counts = list(short.values())
    return {name: said if counts.count(said) == 1 else name for name, said in short.items()}


def _parts(name: str) -> _Parts:
    """Take a name apart; what is not made of settings is all head.

    >>> _parts("kd, small teacher"), _parts("method=kd, alpha=1")
    (_Parts(head='kd, small teacher', settings={}), _Parts(head='kd', settings={'alpha': '1'}))
    """
    found = re.fullmatch(rf"(?:(.*?)[ ,]+)??({SETTING}(?:, {SETTING})*)", name)
    if not found:
        return _Parts(name, {})
    settings = dict(part.split("=", 1) for part in found[2].split(", "))
    method = "" if found[1] else settings.pop(METHOD, "")
    return _Parts(found[1] or method, settings)


def _said(parts: _Parts, common: set[str], heads: bool) -> str:
    said = ", ".join(
        _setting(key, value) for key, value in parts.settings.items() if key not in common
    )
    head = parts.head if heads or not said else ""
    return f"{head} {said}".strip()


def _setting(key: str, value: str) -> str:
    """A setting as it is said.

    >>> _setting("temperature", "2.0"), _setting("label_weight", "0.1"), _setting("x", "none")
    ('T 2', 'label weight 0.1', 'no x')
    """
    name = SYMBOLS.get(key, key.replace("_", " "))
    if value in ("none", "false"):
        return f"no {name}"
    if value == "true":
        return name
    whole = re.fullmatch(r"(-?[0-9]+)[.]0+", value)
    return f"{name} {whole[1] if whole else value}"
