"""What was settled while a student's stage was composed: pairs of layers, weights of terms."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from stillhouse.engine.stage import Stage
from stillhouse.errors import RunError
from stillhouse.records.files import write_json

if TYPE_CHECKING:
    from stillhouse.runs.distill import Distillation

NOTES = "settled.json"


def write_notes(job: "Distillation", directory: Path, stage: Stage) -> None:
    """Say what was settled, and keep it beside the student."""
    if not stage.notes:
        return
    for what, said in stage.notes.items():
        job.watcher.say(f"{what}: {said}")
    if job.feeds.platform.main:
        write_json(directory / NOTES, dict(stage.notes))


def read_notes(directory: Path) -> Mapping[str, str]:
    """What was settled; empty when nothing was.

    Raises:
        RunError: the file is damaged.
    """
    path = directory / NOTES
    if not path.exists():
        return {}
    try:
        return {str(what): str(said) for what, said in json.loads(path.read_text("utf-8")).items()}
    except (ValueError, AttributeError) as error:
        raise RunError(f"{path} is damaged ({error}); delete it") from None
