"""What code does, in a word: of a user's transform, and of a network that no name stands for."""

import dis
import functools
import hashlib
import inspect
import re
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from torch import Tensor, nn

from stillhouse.records.fingerprint import weights_fingerprint

LENGTH = 16

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def code_identity(function: Callable[..., Any] | None) -> str | None:
    """What a user's function does, as far as can be told: its name, code and settings.

    Seen are source, bytecode, defaults, what closures, `functools.partial` and objects hold, and
    of the function's own module what it names: constants, functions and classes. A change inside
    another module that it calls is not seen: then use another directory.

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
    return f"{known.__module__}.{known.__qualname__}-{_hash(_Teller().text(function))}"


def module_identity(module: nn.Module) -> str:
    """What a network computes with its weights: its layers and settings, and its own classes.

    >>> module_identity(nn.ReLU()) == module_identity(nn.GELU())
    False
    """
    own = {type(part) for part in module.modules()}
    foreign = [kind for kind in own if not kind.__module__.startswith("torch.")]
    names = sorted(f"{kind.__module__}.{kind.__qualname__} {_source(kind)}" for kind in foreign)
    return _hash(_plain(repr(module)) + "".join(names))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:LENGTH]


def _plain(text: str) -> str:
    """Without addresses, which differ from process to process."""
    return _ADDRESS.sub("", text)


def _source(known: Any) -> str:
    try:
        return inspect.getsource(known)
    except (OSError, TypeError):
        return ""


class _Teller:
    """Tells values in words that are the same in each process, each object once."""

    def __init__(self) -> None:
        self._told: dict[int, Any] = {}

    def text(self, value: Any) -> str:
        if isinstance(value, functools.partial):
            return f"partial {self._texts((value.func, value.args, value.keywords))}"
        if isinstance(value, types.MethodType):
            return f"method {self._texts((value.__func__, value.__self__))}"
        if isinstance(value, types.FunctionType):
            return self._once(value, self._function)
        if isinstance(value, Tensor):
            return f"tensor {weights_fingerprint({'value': value})}"
        if isinstance(value, np.ndarray):
            return f"array {value.dtype} {value.shape} {_hash(value.tobytes().hex())}"
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
        about = f"{kind.__module__}.{kind.__qualname__} {_plain(repr(value))} {_source(kind)}"
        return f"{about} {weights} {self.text(dict(sorted(held.items())))}"

    def _function(self, function: types.FunctionType) -> str:
        code, known = function.__code__, function.__globals__
        cells = [_cell(cell) for cell in function.__closure__ or ()]
        held = (function.__defaults__, function.__kwdefaults__, cells, vars(function))
        written = {i.argval for i in dis.get_instructions(code) if i.opname == "STORE_GLOBAL"}
        named = [name for name in _names(code) if name in known and name not in written]
        own = {name: known[name] for name in named if _is_own(known[name], function.__module__)}
        sources = [_source(inner) for inner in own.values() if isinstance(inner, type)]
        about = [function.__qualname__, _source(function), self._code(code), *sources]
        return "".join([*about, self._texts((*held, own))])

    def _code(self, code: types.CodeType) -> str:
        """Bytecode, names and constants; not the file and line, which change nothing."""
        consts = [
            self._code(const) if isinstance(const, types.CodeType) else self.text(const)
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


def _names(code: types.CodeType) -> list[str]:
    inner = [const for const in code.co_consts if isinstance(const, types.CodeType)]
    return sorted({*code.co_names, *(name for each in inner for name in _names(each))})
