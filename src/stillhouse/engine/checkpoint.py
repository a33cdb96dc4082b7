"""Checkpoints: everything that a stopped fit needs to end with the same bits."""

import errno
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from stillhouse.errors import RunError
from stillhouse.faults import fault_of
from stillhouse.records.checked import add_checksum, compare_checksum, damaged
from stillhouse.records.environment import torch_version
from stillhouse.records.files import replacing

CHECKPOINT = "checkpoint.pt"
FORMAT = 1
AGAIN = "delete it, and the same command trains from the start again"


@dataclass(frozen=True)
class Checkpoint:
    """One file, written whole with its checksum, read as data only (``weights_only=True``).

    Args:
        path: where.
        identity: the fingerprint of what is being fitted; a file with another one is refused.
    """

    path: Path
    identity: str

    def save(self, state: dict[str, Any]) -> None:
        """Write it; the file before stays whole until this one is.

        Raises:
            OSError: the directory was removed meanwhile, the disk is full, ...
        """
        if not self.path.parent.is_dir():  # made anew it would lack what a run is known by
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self.path))
        with replacing(self.path) as fresh:
            with fresh.open("wb") as file:
                # Through a file of Python: of its own ones torch does not say what the system said.
                torch.save({**self._marks(), **state}, file)
            add_checksum(fresh)

    def load(self, device: torch.device) -> dict[str, Any] | None:
        """What was saved; None when there is no file.

        Raises:
            RunError: the file is damaged, or belongs to another fit.
        """
        if not self.path.exists():
            return None
        compare_checksum(self.path, RunError, AGAIN)
        try:
            state: dict[str, Any] = torch.load(self.path, map_location=device, weights_only=True)
        except Exception as error:
            if fault_of(error) is not None:  # short memory is no reason to delete it
                raise
            # Its checksum is right, so somebody else wrote it.
            raise damaged(self.path, type(error).__name__, RunError, AGAIN) from error
        for field, wanted in self._marks().items():
            if state.get(field) != wanted:
                raise RunError(
                    f"checkpoint {self.path} has {field} {state.get(field)!r}, this run has "
                    f"{wanted!r}; use another directory, or delete the checkpoint"
                )
        return state

    def _marks(self) -> dict[str, Any]:
        # The version of torch is part of most identities, and before them says more than they do.
        return {"format": FORMAT, "torch": torch_version(), "identity": self.identity}
