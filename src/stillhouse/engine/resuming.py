"""When the checkpoint of a fit is written, and how a fit goes on from it."""

import time
from pathlib import Path
from typing import Any

from stillhouse.engine.checkpoint import CHECKPOINT, Checkpoint
from stillhouse.engine.selection import Progress
from stillhouse.engine.trainer import Trainer
from stillhouse.records.files import Lines

METRICS = "metrics.jsonl"


class Resuming:
    """The files of a fit: its checkpoint and the lines of its epochs; in memory only without any.

    Args:
        trainer: whose state it is.
        directory: where; None keeps nothing.
        identity: of the fit; a checkpoint of another one is refused.
        begun: what it began with, where nobody says what is the same.
    """

    def __init__(self, trainer: Trainer, directory: Path | None, identity: str, begun: str) -> None:
        self.trainer, self.begun = trainer, begun
        self.kept = "no checkpoint was written yet"
        if directory is not None:
            directory.mkdir(parents=True, exist_ok=True)
        self._checkpoint = Checkpoint(directory / CHECKPOINT, identity) if directory else None
        self._lines = Lines(directory / METRICS) if directory else None
        self._main = trainer.platform.main
        self._saved_at = time.monotonic()

    @property
    def path(self) -> Path | None:
        """The checkpoint."""
        return None if self._checkpoint is None else self._checkpoint.path

    @property
    def due(self) -> bool:
        """Whether it is time for a checkpoint."""
        if self._checkpoint is None:
            return False
        return time.monotonic() - self._saved_at >= self.trainer.settings.checkpoint_seconds

    def add(self, record: dict[str, Any]) -> None:
        """Write the line of an epoch."""
        if self._lines is not None and self._main:
            self._lines.append(record)

    def save(self, progress: Progress, history: list[dict[str, Any]]) -> None:
        """Write a checkpoint of a state that is known to be finite."""
        self.trainer.look()
        if not self.trainer.objective.finite:
            return  # keep the last good one; the next step will tell which term it was
        if self._checkpoint is not None and self._main:
            state = {**self.trainer.state_dict(), "progress": vars(progress)}
            self._checkpoint.save({**state, "history": history, "begun": self.begun})
            self._note(progress)
        self._saved_at = time.monotonic()

    def load(self) -> tuple[Progress, list[dict[str, Any]], str] | None:
        """Go back to the checkpoint: how far it was, its epochs, what it began with; None without.

        Raises:
            RunError: it is damaged, or that of another fit.
        """
        state = None
        if self._checkpoint is not None:
            state = self._checkpoint.load(self.trainer.platform.device)
        if state is None:
            return None
        self.trainer.load_state_dict(state)
        progress = Progress(**state["progress"])
        progress.best = {
            node: {key: value.cpu() for key, value in weights.items()}
            for node, weights in progress.best.items()
        }
        self._note(progress)
        return progress, state["history"], state["begun"]

    def forget_after(self, history: list[dict[str, Any]]) -> None:
        """Drop the lines of epochs that came after the checkpoint."""
        if self._lines is not None and self._main:
            self._lines.rewrite(history)

    def _note(self, progress: Progress) -> None:
        """Remember where the checkpoint is that a bad loss cannot harm."""
        at = f"epoch {progress.epoch + 1}, step {progress.step}"
        self.kept = f"the checkpoint of {at} is kept in {self.path}"
