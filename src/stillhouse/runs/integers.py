"""What becomes of a student that rounds: its int8 network, scored and written beside it."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from stillhouse.data.batches import Batches
from stillhouse.engine.platform import Platform
from stillhouse.engine.signals import LOGITS, named_outputs
from stillhouse.errors import ModelError
from stillhouse.models import describe
from stillhouse.records.files import replacing, save_tensors
from stillhouse.runs.played import Played
from stillhouse.runs.program import ExportError, export
from stillhouse.runs.stage_run import BEST, LAST, StageRun
from stillhouse.students.quantised import converted, integer_form, is_quantised, unrounded
from stillhouse.students.quantised.network import share_rounded

if TYPE_CHECKING:
    from stillhouse.runs.distill import Distillation

INT8, FLOAT = "int8", "float"
"""The same weights run on integers, and without any rounding."""
WHICH = (LAST, BEST)


def scored_in_int8(job: "Distillation", played: Played, module: nn.Module) -> Played:
    """The scores of a student or control, with those on integers and in float if it rounds.

    ``module`` is a network of its kind; its values do not count.
    """
    run, own = played.run, job.student_input
    if run is None or not is_quantised(module):
        return played
    try:
        forms = {which: _forms(trained_student(job, run, played.seed, which)) for which in WHICH}
    except ModelError as error:
        job.watcher.warn(f"{played.role}: not run in int8: {error}")
        return played
    if own is not None:  # it reads its own form of the image
        forms = {
            which: {label: nn.Sequential(own, module) for label, module in made.items()}
            for which, made in forms.items()
        }
    rows = job.feeds.validation if run.validation(LAST) is not None else None
    return replace(
        played,
        test={**played.test, **_shares(forms, job.feeds.test, job.feeds.platform)},
        heads_validation={} if rows is None else _shares(forms, rows, job.feeds.platform),
    )


def _forms(trained: nn.Module) -> dict[str, nn.Module]:
    return {INT8: converted(trained), FLOAT: unrounded(trained)}


def _shares(
    forms: Mapping[str, Mapping[str, nn.Module]], table: Batches, platform: Platform
) -> dict[str, dict[str, float]]:
    """Accuracies on a table: label -> 'last' or 'best' -> share."""
    labels = dict.fromkeys(label for made in forms.values() for label in made)
    return {
        label: {which: accuracy(made[label], table, platform) for which, made in forms.items()}
        for label in labels
    }


def trained_student(job: "Distillation", run: StageRun, seed: int, which: str) -> nn.Module:
    """The rounding student with the weights of an epoch; it is never made out of its teacher."""
    module = job.student.make(seed)
    module.load_state_dict(run.weights(which)[run.keeps])
    return module.eval()


def accuracy(module: nn.Module, table: Batches, platform: Platform) -> float:
    """The share of rows that a network gets right, in full precision whatever the run's is."""
    counts = torch.zeros(2, device=platform.device)
    module = module.to(platform.device).eval()
    with torch.inference_mode():
        for batch in table.once():
            logits, label = (
                named_outputs(module(batch["batch.image"]))[LOGITS],
                batch["batch.label"],
            )
            counts[0] += (logits.argmax(1) == label).sum()
            counts[1] += len(label)
    right, rows = platform.sum(counts).tolist()
    return float(right / rows)


def integer_bytes(module: nn.Module) -> dict[str, int]:
    """Bytes of the int8 form of a student that rounds; empty for others."""
    return {INT8: describe(integer_form(module)).bytes} if is_quantised(module) else {}


def integer_files(
    job: "Distillation", trained: nn.Module, image: Tensor, stem: Path, epoch: str
) -> Iterator[tuple[Path, str]]:
    """Write the int8 weights and the program of a rounding student; gives each with what it is.

    Args:
        job: hears of what is left out.
        trained: made by `quantised`, with its weights, on the CPU.
        image: a few images, to trace the program on.
        stem: the path of both files without their suffix.
        epoch: whose weights these are, in words.
    """
    weights, program = (stem.with_name(stem.name + end) for end in (".safetensors", ".pt2"))
    for old in (weights, program):
        old.unlink(missing_ok=True)
    try:
        integers = converted(trained)
    except ModelError as error:
        job.watcher.warn(f"{weights.name} is left out: {error}")
        return
    save_tensors(weights, integers.state_dict(), {"quantise": INT8, "epoch": epoch})
    share = 100 * share_rounded(trained)
    load = f'stillhouse.students.quantised.load_integer(model, "{weights.name}")'
    yield weights, f"int8 weights and scales of {epoch}, {share:.1f} % of the parameters; {load}"
    try:
        content = export(integers, image)
    except ExportError as error:
        job.watcher.warn(f"{program.name} is left out: torch.export {error}")
        return
    with replacing(program) as fresh:
        fresh.write_bytes(content)
    shape = ", ".join(map(str, image.shape[1:]))
    call = f'torch.export.load("{program.name}").module()(images) with images [B, {shape}]'
    said = f"the int8 student of {epoch}, needs torch alone; {call} prepared as for the student"
    yield program, said
