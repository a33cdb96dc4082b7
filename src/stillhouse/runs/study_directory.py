"""The directory of a study: study.yaml, study.json, report.html, and a run per arm in arms/."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from stillhouse.engine.files import write_text
from stillhouse.errors import RunError

STUDY = "study.yaml"
TABLE = "study.json"
ARMS = "arms"
LONGEST = 80
"""Letters of a directory's name: an arm of a sweep may be named by many settings."""


def is_study_directory(directory: Path) -> bool:
    """Whether a study was begun there."""
    return (directory / STUDY).is_file()


def arm_directories(out: Path, names: Iterable[str]) -> dict[str, Path]:
    """Where each arm is run: its name as far as every file system takes it.

    >>> arm_directories(Path("s"), ["kd 1.5", "alpha=1, k=2"])["alpha=1, k=2"].as_posix()
    's/arms/alpha=1-k=2'
    """
    slugs = {name: _slug(name) for name in names}
    said = [slug.casefold() for slug in slugs.values()]
    for name, slug in slugs.items():
        if said.count(slug.casefold()) > 1 or not slug or len(slug) > LONGEST:
            mark = hashlib.sha256(name.encode()).hexdigest()[:8]
            slugs[name] = f"{slug[:LONGEST]}-{mark}".lstrip("-")
    return {name: out / ARMS / slug for name, slug in slugs.items()}


def _slug(name: str) -> str:
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "_.=") else "-" for c in name)
    return "-".join(part for part in plain.split("-") if part).strip("._")


@contextmanager
def held(out: Path, values: Mapping[str, Any]) -> Iterator[None]:
    """Take a directory for a study, which may have changed: its arms guard themselves.

    Raises:
        RunError: a file, somebody else's folder, a run, or a study that is going on.
    """
    if out.exists() and not out.is_dir():
        raise RunError(f"{out} is a file; choose a directory for the study (-o DIR)")
    there = [p.name for p in out.iterdir() if p.name != ".lock"] if out.exists() else []
    if there and STUDY not in there:
        raise RunError(
            f"{out} is no directory of a study (it has no {STUDY}); choose another, or an empty one"
        )
    out.mkdir(parents=True, exist_ok=True)
    lock = FileLock(out / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise RunError(
            f"{out} is in use by a study that is going on; wait, or choose another"
        ) from None
    try:
        plain = json.loads(json.dumps(values, default=str))  # from Python it may hold paths
        write_text(out / STUDY, yaml.safe_dump(plain, sort_keys=False, allow_unicode=True))
        yield
    finally:
        lock.release()


def read_study_table(out: Path) -> dict[str, Any]:
    """study.json of a directory; empty when it has none yet.

    Raises:
        RunError: it is damaged.
    """
    path = out / TABLE
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RunError(f"{path} is damaged ({error}); delete it, the arms are kept") from None
    if not isinstance(found, dict):
        raise RunError(f"{path} is damaged: it is no object; delete it, the arms are kept")
    return found
