"""The directory of a study: study.yaml, study.json, report.html, and a run per arm in arms/."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from stillhouse.engine.files import write_text
from stillhouse.errors import RunError
from stillhouse.recipes.schema import Recipe, resolved
from stillhouse.runs.directory import read_resolved, same_run
from stillhouse.runs.fingerprint import first_difference

STUDY = "study.yaml"
TABLE = "study.json"
ARMS = "arms"
LONGEST = 80
"""Letters of a directory's name: an arm of a sweep may be named by many settings."""


def is_study_directory(directory: Path) -> bool:
    """Whether a study was begun there."""
    return (directory / STUDY).is_file()


def arm_directories(
    out: Path, names: Iterable[str], known: Mapping[str, str] | None = None
) -> dict[str, Path]:
    """Where each arm is run: where it was before, or its name as far as every file system takes it.

    Args:
        out: of the study.
        names: of the arms.
        known: folders of arms that were run before, which stay where they are.

    >>> arm_directories(Path("s"), ["kd 1.5", "alpha=1, k=2"])["alpha=1, k=2"].as_posix()
    's/arms/alpha=1-k=2'
    >>> arm_directories(Path("s"), ["kd 1", "kd-1"], {"kd 1": "kd-1"})["kd-1"].name
    'kd-1-cac1eb29'
    """
    known, names = known or {}, list(names)
    slugs = {name: _slug(name) for name in names if name not in known}
    said = [slug.casefold() for slug in (*slugs.values(), *known.values())]
    for name, slug in slugs.items():
        if said.count(slug.casefold()) > 1 or not slug or len(slug) > LONGEST:
            mark = hashlib.sha256(name.encode()).hexdigest()[:8]
            slugs[name] = f"{slug[:LONGEST]}-{mark}".lstrip("-")
    folders = {**known, **slugs}
    return {name: out / ARMS / folders[name] for name in names}


def noted_folders(out: Path) -> dict[str, str]:
    """The folder of each arm in study.json, by name; those outside arms/ are left out."""
    found: dict[str, str] = {}
    for entry in read_study_table(out).get("arms", []):
        above, _, folder = str(entry.get("directory")).partition("/")
        plain = folder == Path(folder).name and folder not in ("", "..")
        if above == ARMS and plain and folder not in found.values():
            found[str(entry.get("name"))] = folder
    return found


def check_arms(arms: Mapping[str, tuple[Path, Recipe]]) -> None:
    """See that no directory of an arm holds another run than the arm is now; writes nothing.

    Raises:
        RunError: which arms differ, in what, and what to do.
    """
    changed: dict[str, str] = {}
    for name, (directory, recipe) in arms.items():
        if not directory.is_dir() or all(path.name == ".lock" for path in directory.iterdir()):
            continue
        there, asked = same_run(read_resolved(directory)), same_run(resolved(recipe))
        difference = first_difference(asked, there)
        if difference:
            changed[name] = f"arm '{name}' differs in {difference} from the one in {directory}"
    if changed:
        raise RunError(
            f"{_first(list(changed.values()), list(changed))}. Rename what was changed, or delete "
            "its directory to train it anew, or choose another directory for the study (-o DIR). "
            "Nothing was overwritten"
        )


def _first(said: Sequence[str], names: Sequence[str]) -> str:
    """The first in full, the others by name."""
    if len(said) == 1:
        return said[0]
    return f"{said[0]}; so do others from theirs: {', '.join(names[1:])}"


def _slug(name: str) -> str:
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "_.=") else "-" for c in name)
    return "-".join(part for part in plain.split("-") if part).strip("._")


@contextmanager
def held(out: Path) -> Iterator[None]:
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
        yield
    finally:
        lock.release()


def write_study(out: Path, values: Mapping[str, Any]) -> None:
    """Keep the study as it was asked for."""
    plain = json.loads(json.dumps(values, default=str))  # from Python it may hold paths
    write_text(out / STUDY, yaml.safe_dump(plain, sort_keys=False, allow_unicode=True))


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
