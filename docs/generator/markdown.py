"""Pieces of Markdown: tables, and the text of docstrings."""

import re
from collections.abc import Iterable, Sequence


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    r"""A table; a bar inside a cell does not end it.

    >>> print(table(["key", "takes"], [["a", "x | y"]]))
    | key | takes |
    |---|---|
    | a | x \| y |
    """
    lines = [list(titles), *map(list, rows)]
    text = ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]
    return "\n".join([text[0], "|" + "---|" * len(titles), *text[1:]])


def prose(docstring: str) -> str:
    r"""A docstring's text up to its first section or example, as Markdown.

    >>> prose("Says ``a``, see `b`.\n\nMore.\n\nArgs:\n    x: of it.\n\n>>> 1\n1")
    'Says `a`, see `b`.\n\nMore.'
    """
    text = re.split(r"^(?:[A-Z][\w' ]*:\n|Paper:|Differs |>>> )", docstring, flags=re.MULTILINE)[0]
    return literal(text).strip()


def literal(text: str) -> str:
    """Code of docstrings (two backquotes) as code of Markdown (one).

    >>> literal("``T^2 KL``")
    '`T^2 KL`'
    """
    return text.replace("``", "`")


def entries(docstring: str, title: str) -> dict[str, str]:
    r"""What a section of a docstring says of each name; several names may share an entry.

    >>> entries("A.\n\nArgs:\n    x, y: two\n        numbers.\n    z: one.\n\nEnd.", "Args")
    {'x': 'two numbers.', 'y': 'two numbers.', 'z': 'one.'}
    """
    found = re.search(rf"^{title}:\n(.*?)(?=^\S|\Z)", docstring, re.MULTILINE | re.DOTALL)
    said: dict[str, str] = {}
    parts = re.split(r"^ {4}(?=\S)", found[1] if found else "", flags=re.MULTILINE)
    for part in filter(None, (" ".join(each.split()) for each in parts)):
        names, _, text = part.partition(": ")
        said |= dict.fromkeys(names.split(", "), literal(text))
    return said
