"""What one training writes: its epochs, the mark that it is done, what was settled before it."""

from typing import Any, ClassVar, Self

from pydantic import ConfigDict, Field, model_validator

from stillhouse.records.files import Reading
from stillhouse.records.schema import Record, RecordFile

STAGE = "stage.json"


SETTLED = "settled.json"


class Epoch(Record):
    """A line of metrics.jsonl: one stage after one epoch, from 1.

    Args:
        stage, seed: whose; not said in the directory of the stage itself.
        terms: before weighting.
        parts: of the loss of the task, where a network says itself what it is made of.
        validation: measure -> metric -> value.
        diagnostics: on validation.
    """

    model_config = ConfigDict(extra="ignore")  # the report does not show all that training says

    epoch: int
    stage: str = ""
    seed: int | None = None
    terms: dict[str, float | None] = Field({})
    parts: dict[str, float | None] = Field({})
    weights: dict[str, float | None] = Field({})
    validation: dict[str, dict[str, float | None]] = Field({})
    diagnostics: dict[str, Reading] = Field({})


class StageRecord(RecordFile):
    """stage.json: the mark that a stage is done.

    Args:
        identity: the fingerprint of what decides it.
        keeps: the node that is its product.
        nodes: that have weights.
        history: the lines of its epochs, as they were written.
        sha256: of its files, by name.
    """

    AGAIN: ClassVar[str] = "delete {directory}, and the same command trains it again"
    identity: str
    keeps: str
    nodes: tuple[str, ...]
    epochs: int
    best_epoch: int
    seconds: float
    history: tuple[dict[str, Any], ...]
    sha256: dict[str, str]

    @model_validator(mode="after")
    def _agree(self) -> Self:
        """Its epochs are there, and the weights of the last and the best one have a checksum."""
        if not 1 <= self.best_epoch <= self.epochs == len(self.history):
            raise ValueError(
                f"best epoch {self.best_epoch} of {self.epochs}, and {len(self.history)} lines"
            )
        for name in (f"{self.keeps}.safetensors", f"{self.keeps}-best.safetensors"):
            if name not in self.sha256:
                raise ValueError(f"no checksum of {name}")
        return self


class StageNotes(RecordFile):
    """settled.json: what was settled while a student's stage was composed, in words."""

    AGAIN: ClassVar[str] = "delete it"
    notes: dict[str, str]
