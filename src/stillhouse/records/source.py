"""Source: what a function or a class is, as a text that only a change of its code changes.

It is the syntax tree without positions, comments, formatting and docstrings. `ast.dump` will not
do: it writes other text on other Pythons (3.13 leaves out empty lists, 3.12 knows new fields). The
walk here leaves out all that is empty, so that 3.11 to 3.13 agree.
"""

import ast
import dis
import inspect
import linecache
import sys
import types
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

_LEFT_OUT = ("ctx", "kind", "type_comment", "type_ignores")
"""Fields that follow from the rest, or change nothing that is done."""
_Scope = ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_Span = tuple[tuple[int, int], tuple[int, int]]
"""(line, column) of the first character and of the one after the last."""


_KNOWN: WeakKeyDictionary[types.FunctionType | type, str | None] = WeakKeyDictionary()
"""What was found when it was first looked for: a file that is edited later was not imported."""


def function_source(function: types.FunctionType) -> str | None:
    """The code of one ``def`` or ``lambda``, with its decorators; None where no source is found."""
    if function not in _KNOWN:
        _KNOWN[function] = _function_source(function)
    return _KNOWN[function]


def class_source(kind: type) -> str | None:
    """The code of one ``class``, with its decorators; None where no source is found."""
    if kind not in _KNOWN:
        _KNOWN[kind] = _class_source(kind)
    return _KNOWN[kind]


def _function_source(function: types.FunctionType) -> str | None:
    code = function.__code__
    tree = _tree(code.co_filename, function.__globals__)
    found = {} if tree is None else {canonical(node): None for node in _nodes_of(code, tree)}
    return next(iter(found)) if len(found) == 1 else None


def _class_source(kind: type) -> str | None:
    found: list[ast.ClassDef] = []
    for filename in _files_of(kind):
        tree = _tree(filename)
        found = [] if tree is None else list(_classes(tree, kind.__qualname__))
        if found:
            break
    # Of several under one name, such as in both branches of an if, any may be the one.
    return "".join(map(canonical, found)) or None


def global_names(code: types.CodeType) -> list[str]:
    """The names that code looks up outside itself, sorted, but those that it sets as globals."""
    every = list(_codes(code))
    written = {
        step.argval
        for each in every
        for step in dis.get_instructions(each)
        if step.opname == "STORE_GLOBAL"
    }
    return sorted({name for each in every for name in each.co_names} - written)


def canonical(tree: ast.AST) -> str:
    """The text of a syntax tree, the same on every Python that can parse it.

    >>> canonical(ast.parse("x = (1,  'a')  # two")) == canonical(ast.parse("x = 1, 'a'"))
    True
    >>> canonical(ast.parse("f(x)", mode="eval"))
    "Expression(body=Call(func=Name(id='f'),args=[Name(id='x'),]))"
    """
    told: list[str] = []
    left: list[str | ast.AST | Sequence[Any]] = [tree]
    while left:  # not by recursion: a long sum is a deep tree
        value = left.pop()
        if isinstance(value, str):
            told.append(value)
        else:
            left.extend(reversed(_pieces(value)))
    return "".join(told)


def _pieces(value: ast.AST | Sequence[Any]) -> list[Any]:
    """A node or list as text, and nodes and lists that are still to become text."""
    if not isinstance(value, ast.AST):
        return ["[", *(piece for item in value for piece in (_piece(item), ",")), "]"]
    name = type(value).__name__
    if isinstance(value, ast.Constant):
        kept = value.value
        told = f"{kept:x}" if type(kept) is int else ascii(kept)  # decimals of an int are limited
        return [f"{type(kept).__name__}({told})"]
    fields = {key: item for key, item in ast.iter_fields(value) if key not in _LEFT_OUT}
    if isinstance(value, _Scope) and ast.get_docstring(value, clean=False) is not None:
        fields["body"] = value.body[1:]
    if isinstance(value, ast.JoinedStr):
        fields["values"] = _joined(value.values)
    told_fields = [(key, item) for key, item in fields.items() if item is not None and item != []]
    pieces = [f"{name}("]
    for number, (key, item) in enumerate(told_fields):
        pieces += [f"{',' if number else ''}{key}=", _piece(item)]
    return [*pieces, ")"]


def _piece(item: Any) -> Any:
    return item if isinstance(item, ast.AST | list) else ascii(item)


def _joined(values: Sequence[ast.expr]) -> list[ast.expr]:
    """The parts of an f-string, text in one piece: Pythons cut it in different places."""
    whole: list[ast.expr] = []
    for value in values:
        before = whole[-1] if whole else None
        if isinstance(value, ast.Constant) and isinstance(before, ast.Constant):
            whole[-1] = ast.Constant(str(before.value) + str(value.value))
        elif not (isinstance(value, ast.Constant) and value.value == ""):
            whole.append(value)
    return whole


def _tree(filename: str, module: Mapping[str, Any] | None = None) -> ast.Module | None:
    """The syntax tree of a file, or of a cell of a notebook; None where there is no such source."""
    linecache.checkcache(filename)
    lines = linecache.getlines(filename, None if module is None else dict(module))
    return _parsed("".join(lines)) if lines else None


@lru_cache(maxsize=16)
def _parsed(text: str) -> ast.Module | None:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # no longer what was imported
        return None


def _nodes_of(code: types.CodeType, tree: ast.Module) -> list[ast.AST]:
    """The nodes that code may have been compiled from, by its name, its line and its columns."""
    if code.co_name != "<lambda>":
        return [
            node
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and node.name == code.co_name
            and min(part.lineno for part in (node, *node.decorator_list)) == code.co_firstlineno
        ]
    known = [node for node in ast.walk(tree) if isinstance(node, ast.Lambda)]
    on_line = [node for node in known if node.lineno == code.co_firstlineno]
    spans = list(_spans(code))
    around = [
        node
        for node in on_line
        if all(_span(node.body)[0] <= start and end <= _span(node.body)[1] for start, end in spans)
    ]
    # Lambdas around it lie around its instructions, too, and begin before it.
    return [max(around, key=lambda node: _span(node.body))] if around and spans else [*around]


def _span(node: ast.expr) -> _Span:
    last = node.lineno if node.end_lineno is None else node.end_lineno
    return (node.lineno, node.col_offset), (last, node.end_col_offset or 0)


def _spans(code: types.CodeType) -> Iterator[_Span]:
    """Where the instructions come from; nothing where the interpreter does not keep it."""
    for line, last, column, end in code.co_positions():
        # What only sets up a frame has no columns, or is said to end before the line begins.
        if line is not None and last is not None and column is not None and end:
            yield (line, column), (last, end)


def _classes(tree: ast.Module, qualname: str) -> Iterator[ast.ClassDef]:
    left: list[tuple[ast.AST, str]] = [(tree, "")]
    while left:
        node, before = left.pop()
        for inner in ast.iter_child_nodes(node):
            if isinstance(inner, ast.ClassDef):
                if before + inner.name == qualname:
                    yield inner
                left.append((inner, f"{before}{inner.name}."))
            elif isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
                left.append((inner, f"{before}{inner.name}.<locals>."))
            elif isinstance(inner, ast.stmt | ast.excepthandler | ast.match_case):
                left.append((inner, before))


def _files_of(kind: type) -> Iterator[str]:
    """Where a class may stand: the file of its module; of a notebook, that of its own functions."""
    module = sys.modules.get(kind.__module__)
    if module is not None and getattr(module, "__file__", None):
        found = inspect.getsourcefile(module)
        if found is not None:
            yield found
    functions = [each for each in vars(kind).values() if isinstance(each, types.FunctionType)]
    yield from dict.fromkeys(
        each.__code__.co_filename for each in functions if each.__module__ == kind.__module__
    )


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            yield from _codes(const)
