"""What was settled while a student's stage was composed: pairs of layers, weights of terms."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from stillhouse.engine.stage import Stage
from stillhouse.records.run import SETTLED, Settled

if TYPE_CHECKING:
    from stillhouse.runs.distill import Distillation


def write_notes(job: "Distillation", directory: Path, stage: Stage) -> None:
    """Say what was settled, and keep it beside the student."""
    if not stage.notes:
        return
    for what, said in stage.notes.items():
        job.watcher.say(f"{what}: {said}")
    if job.feeds.platform.main:
        Settled(notes=dict(stage.notes)).write(directory / SETTLED)


def read_notes(directory: Path) -> Mapping[str, str]:
    """What was settled; empty when nothing was.

    Raises:
        RunError: the file is damaged.
    """
    path = directory / SETTLED
    return Settled.read(path).notes if path.exists() else {}
