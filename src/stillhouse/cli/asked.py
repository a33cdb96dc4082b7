"""The recipe or study that a command is given: a YAML file, or the directory of a run or study."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stillhouse.recipes import Recipe, Study


def asked_values(path: Path) -> dict[str, Any]:
    """The plain data of it, as they were asked for.

    Raises:
        RecipeError: of a file: it is missing, or no recipe.
        RunError: of a directory: neither a run nor a study was begun there, or it is damaged.
    """
    from stillhouse.recipes import read_yaml
    from stillhouse.runs.directory import read_resolved
    from stillhouse.studies.directory import is_study_directory, read_study

    if not path.is_dir():
        return read_yaml(path)
    return dict(read_study(path).values) if is_study_directory(path) else read_resolved(path)


def asked(path: Path, settings: Sequence[str] = ()) -> "Recipe | Study":
    """The same, checked, with what ``--set`` changes.

    Raises:
        RecipeError, RunError: as of `asked_values`; or something in it does not fit.
    """
    from stillhouse.recipes import is_study, make_recipe, make_study, override, override_study

    values = asked_values(path)
    if is_study(values):
        return make_study(override_study(values, settings), where=str(path))
    return make_recipe(override(values, settings), where=str(path))


def own_directory(path: Path) -> Path:
    """Where it is run if nothing else is said: a directory goes on in itself.

    >>> own_directory(Path("recipes/digits-kd.yaml")).as_posix()
    'runs/digits-kd'
    """
    return path if path.is_dir() else Path("runs") / path.stem
