"""Arguments of `stillhouse.distill` that stand for objects, with their types: for editors."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from stillhouse.engine.stage import Stage
from stillhouse.recipes.keywords import Other, RecipeKeys
from stillhouse.recipes.typed import DataKeys, StudentKeys, TeacherKeys
from stillhouse.runs.job.watcher import Watcher

Network = str | nn.Module | Callable[..., nn.Module]
"""A name, a module, or a function that makes one."""
Student = Network | StudentKeys | Other
Teacher = Network | TeacherKeys | Other | Sequence[Network | TeacherKeys | Other]
Data = Any | DataKeys
"""A name, a folder, a file, an object; or a section that has it as its source."""
Method = str | Mapping[str, Any] | Callable[..., Stage]
"""A name, {'name': ..., setting: ...}, or a function that gives a Stage."""


class RunKeys(RecipeKeys, total=False):
    """The other keys of a recipe, and where and how this run is made."""

    shared: str | Path | None
    allow_imports: bool
    watcher: Watcher | None
