"""The recipes that come with the package, by their names such as ``studies/digits-methods``."""

import re
from functools import cache
from pathlib import Path

from stillhouse.records.own_code import IMPORT

PACKAGE = Path(__file__).resolve().parents[1]
FOLDERS = (PACKAGE / "ready", PACKAGE.parents[1] / "recipes")
"""Where they are installed (setup.py puts them there), and where they are in the repository."""


@cache
def ready_recipes() -> dict[str, Path]:
    """The files by their names; of those that need code beside them none.

    >>> ready_recipes()["digits-kd"].name
    'digits-kd.yaml'
    """
    folder = next((each for each in FOLDERS if (each / "digits-kd.yaml").is_file()), None)
    if folder is None:
        return {}
    found = sorted(folder.rglob("*.yaml"), key=lambda path: (len(path.parts), path))
    return {
        path.relative_to(folder).with_suffix("").as_posix(): path
        for path in found
        if IMPORT not in path.read_text(encoding="utf-8")
    }


def ready_recipe(asked: Path) -> Path | None:
    """The file of a name, also where it is written as in the repository; None for any other.

    >>> ready_recipe(Path("recipes/digits-kd.yaml")) == ready_recipe(Path("digits-kd"))
    True
    """
    name = asked.as_posix().removeprefix("recipes/").removesuffix(".yaml")
    return ready_recipes().get(name)


def told(path: Path) -> str:
    """What a recipe says of itself: the first sentence of the comment it begins with.

    >>> told(ready_recipes()["mnist-re-kd"])
    'Reversed KD: the small network teaches the large one.'
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    end = next((at for at, line in enumerate(lines) if not line.startswith("#")), len(lines))
    comment = " ".join(line.lstrip("# ").strip() for line in lines[:end])
    return re.split(r"(?<=[a-z0-9)]\.) (?=[A-Z])", comment)[0]
