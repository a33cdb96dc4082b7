"""Centres of classes: the classifier of a teacher that has none, out of its own embeddings."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from stillhouse.engine.flags import Flags
from stillhouse.errors import RunError, WiringError
from stillhouse.functional.class_centres import class_centres
from stillhouse.models.calling import run_on
from stillhouse.models.cosine_head import CosineHead
from stillhouse.models.given import set_eval
from stillhouse.runs.job.heads import head_of
from stillhouse.runs.job.job import Job
from stillhouse.runs.job.teacher import Teacher
from stillhouse.runs.training.kept import kept

CENTRES = "centres"


def give_centres(job: Job, teacher: Teacher, module: nn.Module) -> None:
    """Make the classifier of a teacher the centres of its embeddings, where its section says so.

    One pass of the teacher over the training rows, not augmented and in float32, whose result is
    kept beside the shared teachers for other runs and seeds.

    Args:
        job: whose training rows.
        teacher: how it was made.
        module: the teacher; its classifier is changed.

    Raises:
        RunError: a class has no training row, or the embeddings are not finite.
    """
    for member, part in zip(teacher.members, getattr(module, "members", ()), strict=False):
        give_centres(job, member, member.inside(part))
    if not teacher.section.centres:
        return
    head = head_of(module, teacher.section)
    if not isinstance(head, CosineHead):
        raise RunError(f"{teacher.role}: its classifier is a {type(head).__name__}, no centres")
    found = kept(
        job,
        teacher,
        module,
        "class centres",
        f"centres of {head.out_features:,} classes, by one pass over the training rows",
        lambda: {CENTRES: _centres(job, teacher, module, head)},
    )
    with torch.no_grad():
        head.weight.copy_(found[CENTRES])


def _centres(job: Job, teacher: Teacher, module: nn.Module, head: CosineHead) -> Tensor:
    """Of the training rows in this one process, [classes, width]."""
    rows = replace(job.data.train(job.recipe.seeds[0]), rank=0, world=1)
    device, flags, home = job.data.platform.device, Flags([module]), head.weight.device
    heard: list[Tensor] = []
    embeddings, labels = [], []
    listening = head.register_forward_pre_hook(lambda _, given: heard.append(given[0]))
    own = None if teacher.input is None else teacher.input.to(device)
    try:
        set_eval(module.to(device))
        with torch.inference_mode():
            for batch in rows.once():
                given = {
                    name: x.to(device) for name, x in job.data.inputs(batch, "teacher").items()
                }
                heard.clear()
                run_on(module, given if own is None else {n: own(x) for n, x in given.items()})
                embeddings.append(heard[-1].float().cpu())
                labels.append(batch["batch.label"].cpu())
    finally:
        listening.remove()
        module.to(home)
        flags.restore()
    try:
        return class_centres(torch.cat(embeddings), torch.cat(labels), head.out_features)
    except WiringError as error:
        said = "; ".join(error.problems)
        raise RunError(f"{teacher.role}: no centres of its classes: {said}") from error
