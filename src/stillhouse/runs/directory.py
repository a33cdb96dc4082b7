"""The directory of a run: taken once, resumed or refused, never mixed."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stillhouse.errors import RunError
from stillhouse.records.checked import read_checked, write_checked
from stillhouse.records.claim import Claim
from stillhouse.records.environment import torch_version, torch_version_of
from stillhouse.records.places import by_place
from stillhouse.records.runs_inside import RESOLVED, runs_inside
from stillhouse.records.writable import check_writable

ENVIRONMENT = "environment.json"

OF_SOME = ("text", "tokens", "archives")
"""Keys of the data that are off where rows are no texts, or lie in no archives."""

FREE_KEYS = (
    *("device", "checkpoint_seconds", "data.workers", "cache.use", "cache.directory"),
    *("cache.local", "cache.local_gb", "data.archives.local", "data.archives.local_gb"),
    "track",
)
"""Keys of a recipe that may change when a run goes on: they never change what it computes (but two
loader processes or more leave fewer threads to compute on, and that may change the last bits).
But ``cache.use`` does where the teacher cache is not float32: see `same_run`."""


def same_run(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """A resolved recipe without the keys that may change.

    >>> same_run({"epochs": 1, "device": "cpu", "data": {"source": "digits", "workers": 2}})
    {'epochs': 1, 'data': {'source': 'digits'}}
    """
    named = by_place(recipe)  # the same data by a path and by its name
    kept = dict(named)
    for dotted in FREE_KEYS:
        kept = _without(kept, dotted.split("."))
    if isinstance(kept.get("data"), Mapping):  # what is off says nothing
        kept["data"] = {k: v for k, v in kept["data"].items() if v is not None or k not in OF_SOME}
    if _lossy(recipe):  # then a cached teacher makes another student than a live one
        kept["cache"]["use"] = recipe["cache"].get("use")
    return kept


def _without(values: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    """Plain values without the one at the end of these keys.

    >>> _without({"a": {"b": 1, "c": 2}}, ["a", "b"]), _without({"a": None}, ["a", "b"])
    ({'a': {'c': 2}}, {'a': None})
    """
    first, *rest = keys
    if not rest:
        return {key: value for key, value in values.items() if key != first}
    inner = values.get(first)
    return {**values, first: _without(inner, rest)} if isinstance(inner, Mapping) else {**values}


def _lossy(recipe: Mapping[str, Any]) -> bool:
    section = recipe.get("cache")
    if not isinstance(section, Mapping):
        return False
    dtype = section.get("dtype", "float32")
    dtypes = dtype.values() if isinstance(dtype, Mapping) else [dtype]
    return section.get("top") is not None or any(each != "float32" for each in dtypes)


CLAIM = Claim("run", RESOLVED, "choose another directory for the run (-o DIR)", decisive=same_run)


@contextmanager
def claimed(out: Path, recipe: Mapping[str, Any], environment: Mapping[str, Any]) -> Iterator[bool]:
    """Take a directory for a run; gives whether the run was begun there before.

    The environment that began it is noted; `stillhouse.runs.run` notes the one that ended it.

    Raises:
        RunError: a file, somebody else's folder, another run, a run that is going on, or one that
            another version of torch began.
    """
    with CLAIM.hold(out, recipe) as begun:
        if (out / ENVIRONMENT).exists():
            _same_torch(out)
        else:
            write_checked(out / ENVIRONMENT, environment)
        yield begun


def _same_torch(out: Path) -> None:
    """Numbers of one version of torch are not those of another: a run has one."""
    noted = read_checked(out / ENVIRONMENT, RunError, "delete it: the same command goes on")
    there, here = torch_version_of(noted), torch_version()
    if there not in (None, here):
        raise RunError(
            f"the run in {out} was begun with torch {there}, and this is torch {here}: their "
            f"numbers differ; go on with torch {there}, or choose another directory for the run "
            "(-o DIR)"
        )


def check_places(out: Path, shared: Path, *, done: bool = False) -> None:
    """Make sure, before anything is loaded, that a run can write.

    Args:
        out, shared: its directory, and that of teachers and controls.
        done: it looks finished, and what is finished is read from where nothing can be written.

    Raises:
        RunError: to its directory, or to that of teachers and controls.
    """
    if done:
        return
    check_writable(out, CLAIM.elsewhere)
    check_writable(shared, "choose another directory for teachers and controls (--shared DIR)")


def read_resolved(out: Path) -> dict[str, Any]:
    """The resolved recipe of a run directory.

    Raises:
        RunError: it holds none; the runs that lie in it are named.
    """
    inside = "" if (out / RESOLVED).is_file() else runs_inside(out)
    if inside:
        raise RunError(f"{out} is no directory of a run (it has no {RESOLVED}); {inside}")
    return CLAIM.read(out)
