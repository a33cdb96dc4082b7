"""Rows that a run keeps to compare exported files on, and to find ranges of integers on."""

from pathlib import Path

import torch
from torch import Tensor

from stillhouse.deploy.predictor import Predictor
from stillhouse.deploy.sentences import Sentences
from stillhouse.errors import RunError
from stillhouse.records.tensors import load_tensors

ROWS_FILE = "student-rows.safetensors"
"""Beside a run: test rows as the program takes them, what the trained student answers, their
labels, and training rows for the ranges of an int8 file."""
TAKEN, ANSWERS, CALIBRATION, LABELS = "taken", "answers", "calibration", "labels"
DRAWN = 32


def rows_of(run: Path, predictor: Predictor) -> tuple[Tensor, str]:
    """Rows to compare on, and what they are: test rows of the run, or drawn ones."""
    kept = kept_rows(run, predictor, TAKEN)
    if kept is not None:
        return kept, "test rows"
    if isinstance(predictor.preprocess, Sentences):
        raise RunError(
            f"{predictor.folder}: a student of texts is compared on test rows, which are in "
            f"{ROWS_FILE} of its run; give the directory of the run"
        )
    taken, drawn = predictor.preprocess, torch.Generator().manual_seed(0)
    shape = (DRAWN, taken.channels, taken.height, taken.width)
    if taken.pixels:
        found = torch.randint(0, 256, shape, generator=drawn, dtype=torch.uint8)
    else:
        found = torch.randn(shape, generator=drawn)
    return found, "drawn images (the run with its test rows is not beside the folder)"


def kept_rows(run: Path, predictor: Predictor, name: str) -> Tensor | None:
    """Those of a name; None where there are none, as of a folder alone."""
    for folder in (run, predictor.folder.parent):
        path = folder / ROWS_FILE
        if path.is_file():
            tensors, _ = load_tensors(path, RunError, "run the recipe again")
            return tensors.get(name)
    return None
