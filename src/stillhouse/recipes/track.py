"""Which trackers of experiments hear of a run."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, StringConstraints

from stillhouse.errors import nearest
from stillhouse.recipes.section import Section
from stillhouse.tracking.names import TRACKERS

OFF = ("none", "off", "no", "false", "")


def _trackers(value: Any) -> Any:
    """One name, several with commas between them, or a list; each is one that there is."""
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not names:
        raise ValueError(f"it is {value!r}; name one or several of {', '.join(TRACKERS)}")
    names = [str(name).strip() for name in names]
    for name in names:
        if name not in TRACKERS:
            raise ValueError(f"there is no tracker '{name}'; {nearest(name, TRACKERS)}")
    return tuple(dict.fromkeys(names))


class TrackSection(Section):
    """Trackers that hear of curves and of what came out; no bit of a run depends on them.

    ``to``: tensorboard, mlflow, trackio, wandb: one or several. ``project``: the project or
    experiment of those that have such a thing.
    """

    to: Annotated[tuple[str, ...], BeforeValidator(_trackers), Field(min_length=1)]
    project: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)] = "stillhouse"


def _section(value: Any) -> Any:
    """Names alone stand for the section; none, off and no for nothing."""
    if value is False or (isinstance(value, str) and value.strip().lower() in OFF):
        return None
    if value is None or isinstance(value, Mapping | TrackSection):
        return value
    return {"to": value}


Track = Annotated[TrackSection | None, BeforeValidator(_section)]
"""The trackers of a recipe, or none."""
