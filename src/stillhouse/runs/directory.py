"""The directory of a run: taken once, resumed or refused, never mixed."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from stillhouse.engine.files import write_json, write_text
from stillhouse.errors import RunError
from stillhouse.runs.fingerprint import first_difference

RESOLVED = "resolved.yaml"
ENVIRONMENT = "environment.json"

FREE_KEYS = ("device", "checkpoint_seconds", "data.workers", "cache.use", "cache.directory")
"""Keys of a recipe that may change when a run goes on: they never change what it computes (but two
loader processes or more leave fewer threads to compute on, and that may change the last bits).
But ``cache.use`` does where the teacher cache is not float32: see `same_run`."""


def same_run(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """A resolved recipe without the keys that may change.

    >>> same_run({"epochs": 1, "device": "cpu", "data": {"source": "digits", "workers": 2}})
    {'epochs': 1, 'data': {'source': 'digits'}}
    """
    kept = {key: value for key, value in recipe.items() if key not in FREE_KEYS}
    for dotted in FREE_KEYS:
        section, _, key = dotted.partition(".")
        if key and isinstance(kept.get(section), Mapping):
            kept[section] = {k: v for k, v in kept[section].items() if k != key}
    if _lossy(recipe):  # then a cached teacher makes another student than a live one
        kept["cache"]["use"] = recipe["cache"].get("use")
    return kept


def _lossy(recipe: Mapping[str, Any]) -> bool:
    section = recipe.get("cache")
    if not isinstance(section, Mapping):
        return False
    dtype = section.get("dtype", "float32")
    dtypes = dtype.values() if isinstance(dtype, Mapping) else [dtype]
    return section.get("top") is not None or any(each != "float32" for each in dtypes)


@contextmanager
def claimed(out: Path, recipe: Mapping[str, Any], environment: Mapping[str, Any]) -> Iterator[bool]:
    """Take a directory for a run; gives whether the run was begun there before.

    Raises:
        RunError: a file, somebody else's folder, another run, or a run that is going on.
    """
    if out.exists() and not out.is_dir():
        raise RunError(f"{out} is a file; choose a directory for the run (-o DIR)")
    begun = _begun(out, recipe)
    out.mkdir(parents=True, exist_ok=True)
    lock = FileLock(out / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise RunError(
            f"{out} is in use by a run that is going on; wait, or choose another"
        ) from None
    try:
        if not begun:
            write_text(out / RESOLVED, yaml.safe_dump(dict(recipe), sort_keys=False))
        write_json(out / ENVIRONMENT, environment)
        yield begun
    finally:
        lock.release()


def _begun(out: Path, recipe: Mapping[str, Any]) -> bool:
    if not out.exists() or not any(p.name != ".lock" for p in out.iterdir()):
        return False
    there = read_resolved(out)
    difference = first_difference(same_run(recipe), same_run(there))
    if difference:
        raise RunError(
            f"{out} holds another run: it differs in {difference}; choose another directory, or "
            "ask for the same to resume it"
        )
    return True


def read_resolved(out: Path) -> dict[str, Any]:
    """The resolved recipe of a run directory. Raises RunError when it holds none."""
    path = out / RESOLVED
    if not path.is_file():
        what = "is no directory of a run" if out.is_dir() else "does not exist"
        raise RunError(f"{out} {what} (it has no {RESOLVED}); choose another, or an empty one")
    value = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(value, dict):
        raise RunError(f"{path} is damaged: it is no mapping; choose another directory")
    return value
