"""What becomes of a student that rounds: its int8 network, scored and written beside it."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from stillhouse.data.batches import Batches
from stillhouse.deploy.program import write_program
from stillhouse.engine.answers import RowAnswers
from stillhouse.engine.evaluate import LABEL, RunningScores, sum_of
from stillhouse.engine.platform import Platform
from stillhouse.engine.signals import IMAGE, LOGITS
from stillhouse.errors import ModelError
from stillhouse.models import describe
from stillhouse.models.outputs import named_outputs
from stillhouse.records.tensors import save_tensors
from stillhouse.runs.job.data import JobData
from stillhouse.runs.job.inputs import behind
from stillhouse.runs.training.stage_run import BEST, LAST, StageRun
from stillhouse.students.quantised import converted, integer_form, is_quantised, unrounded
from stillhouse.students.quantised.network import share_rounded
from stillhouse.tasks import Task

INT8, FLOAT = "int8", "float"
"""The same weights run on integers, and without any rounding."""

Shares = dict[str, dict[str, float]]
"""The task's metric by inference, then by epoch: ``{"student": {"last": 0.9, "best": 0.9}}``."""


def scored_forms(run: StageRun) -> tuple[Shares, Shares]:
    """The metric of a student or control that rounds on integers and in float; else empty.

    Returns:
        On the test set, and on validation where its training had one.
    """
    training = run.training
    job, data = training.job, training.job.data
    if not is_quantised(training.stage.role(run.keeps).module):
        return {}, {}
    try:
        forms = {which: _forms(run.module(which)) for which in (BEST, LAST)}
    except ModelError as error:
        job.watcher.warn(f"{training.role}: not run in int8: {error}")
        return {}, {}
    own = job.student_input  # of the image, if it reads one
    ready = {
        which: {label: behind(own, module) for label, module in forms[which].items()}
        for which in (LAST, BEST)
    }
    rows = data.validation if run.validation(LAST) is not None else None
    known = {} if rows is None else _values(ready, rows, data)
    return _values(ready, data.test, data), known


def _forms(trained: nn.Module) -> dict[str, nn.Module]:
    return {INT8: converted(trained), FLOAT: unrounded(trained)}


def _values(forms: Mapping[str, Mapping[str, nn.Module]], table: Batches, data: JobData) -> Shares:
    """The metric on a table: label -> 'last' or 'best' -> value."""
    labels = dict.fromkeys(label for made in forms.values() for label in made)
    return {
        label: {
            which: value(made[label], table, data.task, data.platform)
            for which, made in forms.items()
        }
        for label in labels
    }


def value(module: nn.Module, table: Batches, task: Task, platform: Platform) -> float:
    """The task's metric of a network on a table, in full precision whatever the run's is."""
    kept = RowAnswers(task, platform, table.rows) if task.whole else None
    scores = RunningScores(task, platform, kept, table.pairs)
    module = module.to(platform.device).eval()
    with torch.inference_mode():
        for batch in table.once():
            given = [named_outputs(module(image))[LOGITS] for image in task.forms(batch[IMAGE])]
            scores.add(sum_of(given), batch[LABEL])
    return scores.compute()[task.metric.name]


def integer_bytes(module: nn.Module) -> dict[str, int]:
    """Bytes of the int8 form of a student that rounds; empty for others."""
    return {INT8: describe(integer_form(module)).bytes} if is_quantised(module) else {}


def integer_files(
    trained: nn.Module, image: Tensor, stem: Path, epoch: str, warn: Callable[[str], None]
) -> Iterator[tuple[Path, str]]:
    """Write the int8 weights and the program of a rounding student; gives each with what it is.

    Args:
        trained: made by `quantised`, with its weights, on the CPU.
        image: a few images, to trace the program on.
        stem: the path of both files without their suffix.
        epoch: whose weights these are, in words.
        warn: hears of what is left out.
    """
    weights, program = (stem.with_name(stem.name + end) for end in (".safetensors", ".pt2"))
    for old in (weights, program):
        old.unlink(missing_ok=True)
    try:
        integers = converted(trained)
    except ModelError as error:
        warn(f"{weights.name} is left out: {error}")
        return
    save_tensors(weights, integers.state_dict(), {"quantise": INT8, "epoch": epoch})
    share = 100 * share_rounded(trained)
    load = f'stillhouse.students.quantised.load_integer(model, "{weights.name}")'
    yield weights, f"int8 weights and scales of {epoch}, {share:.1f} % of the parameters; {load}"
    if write_program(integers, image, program, warn):
        shape = ", ".join(map(str, image.shape[1:]))
        call = f'torch.export.load("{program.name}").module()(images) with images [B, {shape}]'
        said = f"the int8 student of {epoch}, needs torch alone; {call} prepared as for the student"
        yield program, said
