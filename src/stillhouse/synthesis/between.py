"""Between: what one batch leaves to the next, in memory and in the work folder."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from stillhouse.engine.checkpoint import Checkpoint
from stillhouse.errors import DataError
from stillhouse.records.files import save_tensors
from stillhouse.synthesis.adapting import STUDENT
from stillhouse.synthesis.maker import Wanted
from stillhouse.synthesis.norm_average import NormAverage
from stillhouse.synthesis.origin import Origin
from stillhouse.synthesis.pupil import Pupil


class Between:
    """The generator, the student, their optimisers and the averages, as they are between batches.

    ``before-ROW.pt`` is what the batch from that row on begins from. It is written before the rows
    before it are stored, and deleted when a later batch begins. So wherever a synthesis is killed,
    the file for the first row that is missing is there, and holds the same bits.

    Args:
        work: the folder.
        identity: whose files these are.
        origin, pupil, averages: what changes from batch to batch.
        device: where they are.
    """

    def __init__(
        self,
        work: Path,
        identity: str,
        origin: Origin,
        pupil: Pupil,
        averages: Sequence[NormAverage],
        device: torch.device,
    ) -> None:
        self.work, self.identity, self.device = work, identity, device
        self.origin, self.pupil, self.averages = origin, pupil, averages
        self.row = 0

    def begin(self, wanted: Wanted) -> int:
        """Be where the batch from this row on begins; gives the row.

        Raises:
            DataError: that is not known, because rows in the middle were taken away.
        """
        first = int(wanted.rows[0])
        if self.row != first:
            state = self._saved(first).load(self.device)
            if state is None or wanted.earlier is None:
                raise DataError(
                    f"each batch goes on from the one before, and {self.work} does not hold what "
                    f"the images from {first} on begin from; delete the directory and begin again"
                )
            self.load_state_dict(state)
            self.pupil.bank.add(wanted.earlier())
            self.row = first
        self.forget(but=[self._saved(first).path])
        return first

    def leave(self, row: int) -> None:
        """Write down what the batch from this row on begins from, and the student so far."""
        student = self.pupil.student.state_dict()
        save_tensors(self.work / "student.safetensors", student, {"role": STUDENT})
        self._saved(row).save(self.state_dict())
        self.row = row

    def forget(self, but: Iterable[Path] = ()) -> None:
        """Delete what other batches began from: their images are stored."""
        for path in set(self.work.glob("before-*.pt")) - set(but):
            path.unlink()

    def state_dict(self) -> dict[str, Any]:
        """All that changes, without the images: those are stored with the rows."""
        return {
            "generator": self.origin.generator.state_dict(),
            "optimizer": self.origin.optimizer.state_dict(),
            "student": self.pupil.student.state_dict(),
            "player": self.pupil.player.state_dict(),
            "averages": [average.averages for average in self.averages],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take it back."""
        self.origin.generator.load_state_dict(state["generator"])
        self.origin.optimizer.load_state_dict(state["optimizer"])
        self.pupil.student.load_state_dict(state["student"])
        self.pupil.player.load_state_dict(state["player"])
        for average, kept in zip(self.averages, state["averages"], strict=True):
            average.averages = kept

    def _saved(self, row: int) -> Checkpoint:
        return Checkpoint(self.work / f"before-{row:08d}.pt", self.identity)
