"""The directory of a study: study.yaml, study.json, report.html, and a run per arm in arms/."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from stillhouse.errors import RunError
from stillhouse.recipes.schema import Recipe, resolved
from stillhouse.recipes.study import Study, make_study
from stillhouse.records.checked import write_checked_yaml
from stillhouse.records.claim import Claim
from stillhouse.records.fingerprint import first_difference
from stillhouse.records.names import distinct_names
from stillhouse.records.places import by_place
from stillhouse.records.study import TABLE, StudyTable
from stillhouse.runs.directory import CLAIM as RUN
from stillhouse.runs.directory import read_resolved, same_run

STUDY = "study.yaml"
ARMS = "arms"
CLAIM = Claim("study", STUDY, "choose another directory for the study (-o DIR)")


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
    folders = distinct_names(names, known)
    return {name: out / ARMS / folder for name, folder in folders.items()}


def noted_folders(out: Path) -> dict[str, str]:
    """The folder of each arm in study.json, by name; those outside arms/ are left out."""
    found: dict[str, str] = {}
    table = read_study_table(out)
    for arm in table.arms if table else ():
        above, _, folder = arm.directory.partition("/")
        plain = folder == Path(folder).name and folder not in ("", "..")
        if above == ARMS and plain and folder not in found.values():
            found[arm.name] = folder
    return found


def check_arms(arms: Mapping[str, tuple[Path, Recipe]]) -> None:
    """See that no directory of an arm holds another run than the arm is now; writes nothing.

    Raises:
        RunError: which arms differ, in what, and what to do.
    """
    changed: dict[str, str] = {}
    for name, (directory, recipe) in arms.items():
        with said_of_arm(name, directory):
            if not RUN.begun(directory):
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


def check_claims(study: Study, out: Path) -> None:
    """See that claims were said before any arm was finished; writes nothing.

    Raises:
        RunError: they differ from those that study.json has, and an arm has numbers by now.
    """
    before = read_study_table(out)
    if before is None or all(arm.state == "waiting" for arm in before.arms):
        return
    if before.claims != study.claims:
        had, asked = (", ".join(names) or "none" for names in (before.claims, study.claims))
        raise RunError(
            f"claims of {out} were {had} when its first arm was run, and are {asked} now. Claims "
            "are said before there are numbers: give those of then, or choose another directory "
            "for the study (-o DIR). Nothing was overwritten"
        )


@contextmanager
def said_of_arm(name: str, directory: Path) -> Iterator[None]:
    """Say of which arm something is wrong, and what to do.

    Raises:
        RunError: what was raised in the block, with the name of the arm and its directory.
    """
    try:
        yield
    except RunError as error:
        again = f"to train this arm anew, delete {directory}"
        raise RunError(f"arm '{name}': {error} ({again})") from error


def _first(said: Sequence[str], names: Sequence[str]) -> str:
    """The first in full, the others by name."""
    if len(said) == 1:
        return said[0]
    return f"{said[0]}; so do others from theirs: {', '.join(names[1:])}"


def held(out: Path) -> AbstractContextManager[bool]:
    """Take a directory for a study, which may have changed: its arms guard themselves.

    Raises:
        RunError: a file, somebody else's folder, a run, or a study that is going on.
    """
    return CLAIM.hold(out)


def write_study(out: Path, values: Mapping[str, Any]) -> None:
    """Keep the study as it was asked for."""
    write_checked_yaml(out / STUDY, _plain(values))


def is_asked(out: Path, values: Mapping[str, Any]) -> bool:
    """Whether the study of a directory was asked for in these words. Raises like `read_study`."""
    there, asked = (by_place(each) for each in (CLAIM.read(out), _plain(values)))
    return bool(there == asked)


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(values, default=str))  # it may hold paths
    return plain


def read_study(out: Path) -> Study:
    """The study of a directory as it was asked for.

    Raises:
        RunError: no study was begun there, or what was asked for is damaged or was edited.
        RecipeError: this version does not know such a study.
    """
    return make_study(CLAIM.read(out), where=str(out / STUDY))


def read_study_table(out: Path) -> StudyTable | None:
    """study.json of a directory; None when it has none yet.

    Raises:
        RunError: it is damaged, or of another version.
    """
    return StudyTable.read(out / TABLE) if (out / TABLE).is_file() else None
