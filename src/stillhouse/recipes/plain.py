"""Values given from Python as plain data: numbers of numpy and PyTorch, tuples, ranges, paths."""

import itertools
from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from stillhouse.errors import RecipeError
from stillhouse.records.plain_yaml import DEEPEST

LONGEST = 10_000
"""Numbers in a list; more are data, and no settings."""


class OfObject(str):
    """How a recipe calls what was given as an object; nobody could write it."""

    __slots__ = ()


def plain_values(value: Any, *, where: str = "recipe") -> Any:
    """The same with ordinary numbers, lists and words; what is none of them is left as it is.

    Args:
        value: a recipe or a part of one.
        where: what messages begin with.

    Raises:
        RecipeError: it holds itself, is nested too deeply, a list is too long to be of settings, or
            a key is no word.

    >>> plain_values({"seeds": np.arange(2), "epochs": np.int64(3), "lr": np.float32(0.5)})
    {'seeds': [0, 1], 'epochs': 3, 'lr': 0.5}
    >>> plain_values({"seeds": (seed for seed in (3, 5))})
    {'seeds': [3, 5]}
    """
    return _plain(value, where, ())


def _plain(value: Any, where: str, path: tuple[str, ...]) -> Any:
    at = f"'{'.'.join(path)}'" if path else "it"
    if len(path) > DEEPEST:
        said = f"'{path[0]}' is nested deeper than {DEEPEST} levels, or holds itself"
        raise RecipeError(where, [said])
    if isinstance(value, Tensor | np.ndarray | np.generic):
        shape = tuple(value.shape)
        if len(shape) > 1 or (shape and shape[0] > LONGEST):
            said = f"{at} is an array of shape {list(shape)}; give a number or a short list"
            raise RecipeError(where, [said])
        try:
            return value.tolist()  # of no dimension: a number
        except (RuntimeError, NotImplementedError, TypeError) as error:  # meta, sparse, ...
            said = f"{at} is an array whose numbers cannot be read ({error}); give a number"
            raise RecipeError(where, [said]) from None
    if isinstance(value, Mapping):
        strange = [key for key in value if not isinstance(key, str | int | float)]
        if strange:
            raise RecipeError(where, [f"{at} has the key {strange[0]!r}; keys are words"])
        twice = next((key for key in value if not isinstance(key, str) and str(key) in value), None)
        if twice is not None:  # as text 1 and "1" are one key
            said = f"{at} has two keys that are called '{twice}'; rename one of them"
            raise RecipeError(where, [said])
        return {str(key): _plain(each, where, (*path, str(key))) for key, each in value.items()}
    if isinstance(value, Set):
        value = sorted(value, key=repr)  # in an order that is always the same
    elif isinstance(value, Iterator):
        value = list(itertools.islice(value, LONGEST + 1))
    if isinstance(value, str | bytes | Path) or not isinstance(value, Sequence):
        return value
    if len(value) > LONGEST:
        raise RecipeError(where, [f"{at} is a list of {len(value):,}; {LONGEST:,} are the most"])
    return [_plain(each, where, (*path, str(number))) for number, each in enumerate(value)]
