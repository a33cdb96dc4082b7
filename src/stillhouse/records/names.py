"""Names: a text as the name of a file or folder, as far as every file system takes it."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from stillhouse.records.fingerprint import text_hash

LONGEST = 80
"""Letters of one text in a name: the name of an arm may hold many settings; systems end at 255."""
MARK = 8
"""Digits that tell names apart."""


def slug(text: str, *, also: str = "_.=", longest: int | None = LONGEST) -> str:
    """A text with its ASCII letters, digits and ``also``; all else becomes single dashes.

    Two texts may give one name: a fingerprint beside it, or `distinct_names`, tells them apart.

    Args:
        text: any.
        also: further characters that are kept.
        longest: where it is cut; None: nowhere.

    >>> slug("python:nets:small"), slug("teacher  head"), slug("../up"), slug("→")
    ('python-nets-small', 'teacher-head', 'up', '16166003')
    """
    kept = "".join(c if c.isascii() and (c.isalnum() or c in also) else "-" for c in text)
    words = "-".join(word for word in kept.split("-") if word).strip("._-")
    return words[:longest] or text_hash(text)[:MARK]


def distinct_names(texts: Iterable[str], taken: Mapping[str, str] | None = None) -> dict[str, str]:
    """A name for each text, no two of them alike on a system that knows no capitals.

    Args:
        texts: each once.
        taken: names that texts have already; these keep theirs.

    >>> distinct_names(["kd 1.5", "alpha=1, k=2"])
    {'kd 1.5': 'kd-1.5', 'alpha=1, k=2': 'alpha=1-k=2'}
    >>> distinct_names(["kd 1", "kd-1"], {"kd 1": "kd-1"})
    {'kd 1': 'kd-1', 'kd-1': 'kd-1-cac1eb29'}
    """
    taken, texts = taken or {}, list(texts)
    whole = {text: slug(text, longest=None) for text in texts if text not in taken}
    alike = [name.casefold() for name in (*whole.values(), *taken.values())]
    for text, name in whole.items():
        if alike.count(name.casefold()) > 1 or len(name) > LONGEST:
            whole[text] = f"{name[:LONGEST]}-{text_hash(text)[:MARK]}"
    return {text: taken.get(text) or whole[text] for text in texts}


def at_home(path: str | os.PathLike[str]) -> Path:
    """A path with ``~`` and ``~user`` for home directories, as shells read it.

    One of a user who is not known stays as it is written, so whoever opens it says what is there.

    >>> at_home("~nobody-is-called-so/a.pt").as_posix()
    '~nobody-is-called-so/a.pt'
    """
    given = Path(path)
    try:
        return given.expanduser()
    except RuntimeError:  # how pathlib says it
        return given


def from_here(path: Path) -> Path:
    """A path as it is called from the working directory, where it lies below that.

    >>> from_here(Path.cwd() / "runs/shared").as_posix(), from_here(Path("/a/b")).as_posix()
    ('runs/shared', '/a/b')
    """
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
