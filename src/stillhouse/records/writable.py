"""Whether a directory can be written to, found before hours are spent on what is to be written."""

import errno
import os
import tempfile
from pathlib import Path

from stillhouse.errors import RunError, StillhouseError
from stillhouse.faults import fault_of


def check_writable(
    directory: Path, elsewhere: str, *, error: type[StillhouseError] = RunError
) -> None:
    """Make sure that files can be made in a directory, which may not exist; leaves nothing behind.

    Args:
        directory: or the one that will be made.
        elsewhere: what to do where it cannot be had, such as 'choose another (-o DIR)'.
        error: the class of what is raised.

    Raises:
        StillhouseError: (of ``error``) it is read-only, not allowed, full, under a file, or its
            name is too long.

    >>> check_writable(Path("pyproject.toml") / "runs", "choose another")
    Traceback (most recent call last):
    stillhouse.errors.RunError: pyproject.toml is a file, no directory; choose another
    """
    absolute = directory.absolute()
    there = next(path for path in (absolute, *absolute.parents) if os.path.exists(path))
    if not there.is_dir():
        shown = os.path.relpath(there) if not directory.is_absolute() else there
        raise error(f"{shown} is a file, no directory; {elsewhere}")
    try:
        _check_names(there, absolute)
        with tempfile.TemporaryFile(dir=there) as trial:
            trial.write(b"0")
    except OSError as problem:
        problem.filename = str(there if problem.errno != errno.ENAMETOOLONG else directory)
        above = "" if there == absolute else f"{directory} cannot be written to: "
        raise error(f"{above}{fault_of(problem)}; {elsewhere}") from problem


def is_writable(directory: Path) -> bool:
    """Whether files can be made in a directory, which may be another user's.

    >>> is_writable(Path("pyproject.toml") / "runs")
    False
    """
    try:
        check_writable(directory, "")
    except RunError:
        return False
    return True


def _check_names(there: Path, wanted: Path) -> None:
    """Raise what the system would say of names that are too long."""
    if not hasattr(os, "pathconf"):
        return  # Windows
    longest = os.pathconf(there, "PC_NAME_MAX")
    if any(len(os.fsencode(part)) > longest for part in wanted.relative_to(there).parts):
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
