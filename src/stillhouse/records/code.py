"""What code does, in a word: of a user's transform, and of a network that no name stands for.

The identity of code is its source without positions, comments, formatting and docstrings, so that
neither a moved line nor another Python makes it another one. Where no source can be had, as of what
was typed into a plain prompt or run by `exec`, it is the bytecode, and the identity says so: it
ends in ``-bytecode-cpython-311`` and holds for that Python alone.
"""

import functools
import re
import sys
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from torch import Tensor, nn

from stillhouse.records.fingerprint import text_hash, weights_fingerprint
from stillhouse.records.source import class_source, function_source, global_names

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def code_identity(function: Callable[..., Any] | None) -> str | None:
    """What a user's function does, as far as can be told: its name, code and settings.

    Seen are source, defaults, what closures, `functools.partial` and objects hold, and of the
    function's own module what it names: constants, functions and classes. A change inside another
    module that it calls is not seen: then use another directory.

    >>> code_identity(None) is None
    True
    >>> code_identity(lambda x: x) == code_identity(lambda x: -x)
    False
    >>> code_identity(functools.partial(int, base=2)) == code_identity(functools.partial(int))
    False
    """
    if function is None:
        return None
    known: Any = function
    while isinstance(known, functools.partial):
        known = known.func
    known = known if hasattr(known, "__qualname__") else type(known)
    teller = _Teller()
    return f"{known.__module__}.{known.__qualname__}-{teller.identity(teller.text(function))}"


def module_identity(module: nn.Module) -> str:
    """What a network computes with its weights: its layers and settings, and its own classes.

    >>> module_identity(nn.ReLU()) == module_identity(nn.GELU())
    False
    """
    teller = _Teller()
    own = {type(part) for part in module.modules()}
    foreign = [kind for kind in own if not kind.__module__.startswith("torch.")]
    told = sorted(f"{kind.__module__}.{kind.__qualname__} {teller.code(kind)}" for kind in foreign)
    return teller.identity(_plain(repr(module)) + "".join(told))


def _plain(text: str) -> str:
    """Without addresses, which differ from process to process."""
    return _ADDRESS.sub("", text)


class _Teller:
    """Tells values in words that are the same in each process, each object once."""

    def __init__(self) -> None:
        self._told: dict[int, Any] = {}
        self._compiled = False

    def identity(self, text: str) -> str:
        """The hash of what was told, and whether it holds for this Python alone."""
        end = f"-bytecode-{sys.implementation.cache_tag}" if self._compiled else ""
        return text_hash(text) + end

    def code(self, known: type | types.FunctionType) -> str:
        """The source of a class or function; without one, what was compiled."""
        if isinstance(known, types.FunctionType):
            return function_source(known) or self._bytecode(known.__code__)
        methods = [each for each in vars(known).values() if isinstance(each, types.FunctionType)]
        return class_source(known) or "".join(self._bytecode(each.__code__) for each in methods)

    def text(self, value: Any) -> str:
        if isinstance(value, functools.partial):
            return f"partial {self._texts((value.func, value.args, value.keywords))}"
        if isinstance(value, types.MethodType):
            return f"method {self._texts((value.__func__, value.__self__))}"
        if isinstance(value, types.FunctionType):
            return self._once(value, self._function)
        if isinstance(value, types.ModuleType):
            return f"module {value.__name__}"
        if isinstance(value, Tensor):
            return f"tensor {weights_fingerprint({'value': value})}"
        if isinstance(value, np.ndarray):
            return f"array {value.dtype} {value.shape} {text_hash(value.tobytes().hex())}"
        if isinstance(value, Mapping):
            return f"mapping {self._texts(pair for pair in value.items())}"
        if isinstance(value, set | frozenset):
            return f"set {sorted(map(self.text, value))}"
        if isinstance(value, list | tuple):
            return f"list {self._texts(value)}"
        if isinstance(value, type):
            return f"{value.__module__}.{value.__qualname__}"
        if hasattr(value, "__dict__") or hasattr(type(value), "__slots__"):
            return self._once(value, self._object)
        return _plain(repr(value))

    def _texts(self, values: Iterable[Any]) -> str:
        return "(" + ", ".join(map(self.text, values)) + ")"

    def _once(self, value: Any, tell: Callable[[Any], str]) -> str:
        if id(value) in self._told:
            return "as before"
        self._told[id(value)] = value  # kept, so that its id stays its own
        return tell(value)

    def _object(self, value: Any) -> str:
        """Class and settings. Inside another, one that describes itself is taken at its word."""
        kind = type(value)
        slots = [name for each in kind.__mro__ for name in getattr(each, "__slots__", ())]
        held = {name: getattr(value, name, None) for name in slots}
        held |= getattr(value, "__dict__", {})
        told: Any = kind.__repr__
        if len(self._told) > 1 and told is not object.__repr__:
            held = {name: inner for name, inner in held.items() if _has_code(inner)}
        weights = weights_fingerprint(value) if isinstance(value, nn.Module) else ""
        about = f"{kind.__module__}.{kind.__qualname__} {_plain(repr(value))} {self.code(kind)}"
        return f"{about} {weights} {self.text(dict(sorted(held.items())))}"

    def _function(self, function: types.FunctionType) -> str:
        known = function.__globals__
        cells = [_cell(cell) for cell in function.__closure__ or ()]
        held = (function.__defaults__, function.__kwdefaults__, cells, vars(function))
        named = {name: known[name] for name in global_names(function.__code__) if name in known}
        own = {name: each for name, each in named.items() if _is_own(each, function.__module__)}
        classes = [self.code(each) for each in own.values() if isinstance(each, type)]
        about = [function.__qualname__, self.code(function), *classes]
        return "".join([*about, self._texts((*held, own))])

    def _bytecode(self, code: types.CodeType) -> str:
        """Instructions, names and constants; not the file and line, which change nothing."""
        self._compiled = True
        consts = [
            self._bytecode(const) if isinstance(const, types.CodeType) else self.text(const)
            for const in code.co_consts
        ]
        return f"{code.co_code.hex()} {code.co_names} {consts}"


def _has_code(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(callable(inner) for inner in value)
    return callable(value)


def _cell(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return None


def _is_own(value: Any, module: str) -> bool:
    """Whether a change of it is the user's: constants, and what the same module defines."""
    if isinstance(value, bool | int | float | complex | str | bytes | tuple | type(None)):
        return True
    return isinstance(value, types.FunctionType | type) and value.__module__ == module
