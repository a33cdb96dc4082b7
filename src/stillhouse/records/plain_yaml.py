"""Plain YAML, read strictly: what a line says is what is meant, and no text can do harm.

The words and numbers are those of YAML 1.2: ``no`` and ``on`` are words, ``1e-3`` is a number, a
date is text, and a key is the text that is written. A key that comes twice is an error.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from stillhouse.errors import RecipeError
from stillhouse.records.checked import fits_checksum

LARGEST = 1 << 20
"""Bytes of a file; a recipe has a few hundred."""
DEEPEST = 50
"""Levels of nesting; a chain of teachers has one or two for each of them."""
MOST = 100_000
"""Values, with those that an alias repeats counted each time."""
LONGEST = 100
"""Digits of a number."""
PLAIN = ("null", "bool", "int", "float", "str", "seq", "map")
"""Kinds of values that a text may hold; dates, sets and bytes are none of a recipe."""

_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
_WORDS = (
    ("null", r"~|null|Null|NULL|", ("~", "n", "N", "")),
    ("bool", r"true|True|TRUE|false|False|FALSE", tuple("tTfF")),
    ("int", _INT.pattern, tuple("-+0123456789")),
    ("float", _FLOAT.pattern, tuple("-+.0123456789")),
    ("merge", r"<<", ("<",)),
)  # of two that fit the first is taken


class _Fault(Exception):  # noqa: N818  (a finding, made a RecipeError where it is known of what)
    """What is wrong with a text, in one sentence."""


class _Loader(yaml.SafeLoader):
    """Composes no deeper than it should, and takes keys as they are written."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  (PyYAML's way to say it)

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self.depth += 1
        if self.depth > DEEPEST:
            line = self.peek_event().start_mark.line + 1  # type: ignore[no-untyped-call]
            raise _Fault(f"line {line}: nested deeper than {DEEPEST} levels")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        self.flatten_mapping(node)
        return {key.value: self.construct_object(value, deep=deep) for key, value in node.value}

    def construct_int(self, node: Any) -> int:
        if len(node.value) > LONGEST:
            raise _Fault(f"line {_line(node)}: a number of {len(node.value):,} digits")
        return int(node.value, 0 if node.value[:2] in ("0o", "0x") else 10)


class _Dumper(yaml.SafeDumper):
    """Puts in quotes whatever would be read as something else."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012


for _tag, _pattern, _first in _WORDS:
    for _kind in (_Loader, _Dumper):
        _kind.add_implicit_resolver(
            f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_pattern})\\Z"), list(_first)
        )
_Loader.yaml_constructors = {
    tag: make
    for tag, make in yaml.SafeLoader.yaml_constructors.items()
    if tag is None or tag.rsplit(":", 1)[-1] in PLAIN
}
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_int)
# Other readers take these words and numbers for something else; in quotes all agree.
for _first, _resolvers in yaml.SafeDumper.yaml_implicit_resolvers.items():
    _Dumper.yaml_implicit_resolvers.setdefault(_first, []).extend(_resolvers)


def read_yaml_text(text: str, *, where: str) -> Any:
    r"""The plain data in a text of YAML: mappings with words as keys, lists, words, numbers.

    Raises:
        RecipeError: what cannot be read, with the line; nothing was run or expanded.

    >>> read_yaml_text("{control: no, lr: 1e-3, 1: [true, 2026-01-01]}", where="recipe")
    {'control': 'no', 'lr': 0.001, '1': [True, '2026-01-01']}
    >>> read_yaml_text("epochs: 3\nbatch: 8\nepochs: 5", where="recipe")
    Traceback (most recent call last):
    ...
    stillhouse.errors.RecipeError: recipe: lines 1 and 3 both give 'epochs'; leave one out
    """
    loader = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        faults = _Survey().faults(node)
        if faults:
            raise RecipeError(where, faults)
        return loader.construct_document(node)
    except (_Fault, yaml.YAMLError, ValueError, KeyError) as error:
        raise RecipeError(where, [_said(error)]) from None
    finally:
        if loader is not None:
            loader.dispose()


def read_yaml_file(path: Path) -> Any:
    """The plain data in a file.

    Raises:
        RecipeError: it is too large, no UTF-8, or cannot be read as YAML.
    """
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise RecipeError(str(path), [f"it cannot be read: {error.strerror}"]) from None
    if len(content) > LARGEST:
        said = f"it has more than {LARGEST:,} bytes, and a recipe has a few hundred; is it another"
        raise RecipeError(str(path), [f"{said} file?"])
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        said = f"line {line}: it is no UTF-8 text (byte 0x{content[error.start]:02x})"
        raise RecipeError(str(path), [f"{said}; save it as UTF-8"]) from None
    if fits_checksum(text) is False:  # one that we wrote, such as the best of a search
        said = "it does not fit the checksum in its last line, so it was damaged or edited"
        raise RecipeError(str(path), [f"{said}; where you edited it, take that line out"])
    return read_yaml_text(text, where=str(path))


def yaml_text(values: Any) -> str:
    """Plain data as YAML, in the order of its keys, such that it is read as it was.

    >>> print(yaml_text({"lr": 1e-05, "name": "1e-3", "method": "no"}), end="")
    lr: 1.0e-05
    name: '1e-3'
    method: 'no'
    """
    text: str = yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    return text


class _Survey:
    """Walks through a text before anything is made of it."""

    def __init__(self) -> None:
        self._sizes: dict[int, int] = {}
        self._open: set[int] = set()
        self._faults: list[str] = []

    def faults(self, node: Any) -> list[str]:
        """What is wrong with keys. Raises _Fault where the text is endless."""
        self._size(node)
        return list(dict.fromkeys(self._faults))

    def _size(self, node: Any) -> int:
        """How many values it holds, with aliases written out."""
        if isinstance(node, yaml.ScalarNode):
            return 1
        if id(node) in self._open:
            raise _Fault(f"line {_line(node)}: it holds itself through an alias")
        if id(node) not in self._sizes:
            if len(self._open) >= DEEPEST:
                raise _Fault(f"line {_line(node)}: nested deeper than {DEEPEST} levels")
            self._open.add(id(node))
            self._sizes[id(node)] = 1 + sum(map(self._size, self._inner(node)))
            self._open.remove(id(node))
        if self._sizes[id(node)] > MOST:
            raise _Fault(f"line {_line(node)}: it stands for more than {MOST:,} values")
        return self._sizes[id(node)]

    def _inner(self, node: Any) -> list[Any]:
        if isinstance(node, yaml.SequenceNode):
            return list(node.value)
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _Fault(f"line {_line(key)}: a key is one word, and this is a list or mapping")
            if key.value in lines:
                self._faults.append(_twice(key.value, lines[key.value], _line(key)))
            lines.setdefault(key.value, _line(key))
        return [value for _, value in node.value]


def _twice(key: str, before: int, after: int) -> str:
    if before == after:
        return f"line {after} gives '{key}' twice; leave one out"
    return f"lines {before} and {after} both give '{key}'; leave one out"


def _line(node: Any) -> int:
    return int(node.start_mark.line) + 1


def _said(error: Exception) -> str:
    """The fault as a sentence."""
    if isinstance(error, _Fault):
        return str(error)
    if isinstance(error, yaml.reader.ReaderError):
        said = f"the character {chr(error.character)!a} at {error.position} belongs in no text"
        return f"not plain YAML: {said}"
    mark = getattr(error, "problem_mark", None)
    line = "" if mark is None else f"line {mark.line + 1}: "
    problem = str(getattr(error, "problem", None) or error)
    if "'\\t'" in problem:
        return f"{line}a tab stands where spaces must; YAML is indented by spaces alone"
    if "expected a single document" in str(getattr(error, "context", "")):
        return f"{line}it holds several documents (---), and one is wanted; leave the others out"
    if "could not determine a constructor" in problem:
        return f"{line}not plain YAML: a tag (!...) makes it more than data; leave it out"
    if isinstance(error, KeyError):
        return f"not plain YAML: {error} is not what its tag (!...) says"
    return f"{line}not plain YAML: {' '.join(problem.split())}"
