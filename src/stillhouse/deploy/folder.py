"""Write a student's folder, and check what is in it on real rows before it is called done."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from stillhouse.deploy.card import card
from stillhouse.deploy.config import CARD, CONFIG, PROGRAM, SCRIPT, WEIGHTS, StudentConfig
from stillhouse.deploy.hub import processor
from stillhouse.deploy.program import ExportError, write_program
from stillhouse.records.checked import checksums_of
from stillhouse.records.files import write_text
from stillhouse.records.tensors import save_tensors
from stillhouse.students.quantised import is_quantised

PROCESSOR = "preprocessor_config.json"
TOKENIZER = "tokenizer.json"
FILES = (WEIGHTS, PROGRAM, CARD, SCRIPT, PROCESSOR, CONFIG)
STEP, ROWS_ALIKE = 0.02, 0.95
"""Of a network that rounds: mean difference by the largest answer, share of equal first places."""
RELATIVE, ABSOLUTE = 1e-3, 1e-4
"""How far a program may be from the network: two orders of sums of float32."""


@dataclass(frozen=True)
class Rows:
    """Real rows on which a folder is checked.

    Args:
        taken: what the program takes of them, [B, ...].
        answers: what the trained network gives for them in evaluation, [B, D].
    """

    taken: Tensor
    answers: Tensor


def write_student(
    folder: Path,
    config: StudentConfig,
    state: Mapping[str, Any],
    ready: nn.Module,
    rows: Rows,
    *,
    hub: Mapping[str, Any],
    metric: str,
    warn: Callable[[str], None],
) -> StudentConfig:
    """Write weights, program, card, script and config; config.json last.

    A network that torch.export cannot trace has no program and no script; why is warned of.

    Args:
        folder: of the student; files of an earlier writing are replaced.
        config: without checksums.
        state: of the network.
        ready: the network behind its preprocessing, in eval mode on the CPU.
        rows: to check on.
        hub: keys for other libraries.
        metric: the value on the test set, as the card says it.
        warn: hears what is left out.

    Raises:
        ExportError: behind its preprocessing the network answers something else than in evaluation.
    """
    for name in FILES:
        (folder / name).unlink(missing_ok=True)
    with torch.inference_mode():
        who = "the student behind its preprocessing"
        check_same(ready(rows.taken), rows.answers, who, rounds=is_quantised(ready))
    save_tensors(folder / WEIGHTS, dict(state), {"format": "pt"})
    program = write_program(ready, rows.taken, folder / PROGRAM, warn)
    if program and config.input.pixels:
        script = resources.files("stillhouse.deploy.handed").joinpath(SCRIPT)
        write_text(folder / SCRIPT, script.read_text(encoding="utf-8"))
    if config.network.model.startswith("hf:") and config.input.pixels:
        write_text(folder / PROCESSOR, json.dumps(processor(config.input), indent=2) + "\n")
    write_text(folder / CARD, card(config, metric=metric, program=program))
    there = [name for name in (*FILES, TOKENIZER) if name != CONFIG and (folder / name).exists()]
    whole = config.model_copy(update={"sha256": checksums_of(folder, there)})
    whole.write(folder, hub)
    return whole


def check_same(mine: Tensor, wanted: Tensor, who: str, *, rounds: bool = False) -> None:
    """Make sure that two ways to the same answers agree.

    Where a network ``rounds``, the last bit of an input may move a value by a whole step: then the
    mean difference has to be small, and the first places of nearly all rows the same.

    Raises:
        ExportError: by how much they differ, and on how many rows the first place differs.

    >>> check_same(torch.ones(1, 2), torch.ones(1, 2), "the program")
    """
    if mine.shape == wanted.shape and torch.allclose(mine, wanted, RELATIVE, ABSOLUTE):
        return
    if rounds and mine.shape == wanted.shape and _nearly(mine, wanted):
        return
    if mine.shape != wanted.shape:
        raise ExportError(f"{who} gives {list(mine.shape)} instead of {list(wanted.shape)}")
    gap, other = float((mine - wanted).abs().max()), int((mine.argmax(1) != wanted.argmax(1)).sum())
    raise ExportError(
        f"{who} answers something else than in evaluation: up to {gap:.3g} apart, another first "
        f"place on {other} of {len(mine)} test rows"
    )


def _nearly(mine: Tensor, wanted: Tensor) -> bool:
    alike = float((mine.argmax(1) == wanted.argmax(1)).float().mean())
    gap = float((mine - wanted).abs().mean() / wanted.abs().max().clamp_min(1e-12))
    return alike >= ROWS_ALIKE and gap <= STEP
