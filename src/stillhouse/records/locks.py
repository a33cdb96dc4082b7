"""Locks on what several runs share, also those of different users.

A lock file holds nothing. Whoever may enter its folder may open it, whatever the umask of the one
who came first: so a second user waits for the first, and then reads what is finished.
"""

from pathlib import Path

from filelock import FileLock

FOR_ALL = 0o666


def lock_on(path: Path) -> FileLock:
    """The lock of this name, to be entered; its folder is made by whoever wants it.

    Raises:
        OSError: (on entering) it is not there, and may not be made.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, lock_on(Path(folder) / ".lock") as held:
    ...     held.is_locked, oct((Path(folder) / ".lock").stat().st_mode & 0o777)
    (True, '0o666')
    """
    return FileLock(path, mode=FOR_ALL)
