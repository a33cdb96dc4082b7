"""Centres of classes: the classifier of a teacher that has none, out of its own embeddings."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from stillhouse.engine.flags import Flags
from stillhouse.errors import RunError, WiringError
from stillhouse.functional.class_centres import class_centres
from stillhouse.models.cosine_head import CosineHead
from stillhouse.models.given import set_eval
from stillhouse.records.environment import torch_version
from stillhouse.records.fingerprint import fingerprint
from stillhouse.records.names import slug
from stillhouse.records.tensors import load_tensors, save_tensors
from stillhouse.runs.job.heads import head_of
from stillhouse.runs.job.job import Job
from stillhouse.runs.job.teacher import Teacher

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
        inner = part[-1] if isinstance(part, nn.Sequential) and member.input else part
        give_centres(job, member, inner)
    if not teacher.section.centres:
        return
    head = head_of(module, teacher.section)
    if not isinstance(head, CosineHead):
        raise RunError(f"{teacher.role}: its classifier is a {type(head).__name__}, no centres")
    path, platform = _path(job, teacher, module), job.data.platform

    def write() -> None:
        if not path.is_file():
            said = f"centres of {head.out_features:,} classes, by one pass over the training rows"
            job.watcher.say(f"{teacher.role}: {said}")
            path.parent.mkdir(parents=True, exist_ok=True)
            save_tensors(path, {CENTRES: _centres(job, teacher, module, head)}, {})

    platform.by_main(write)
    kept, _ = load_tensors(path, RunError, "delete it, and it is made again")
    with torch.no_grad():
        head.weight.copy_(kept[CENTRES])


def _path(job: Job, teacher: Teacher, module: nn.Module) -> Path:
    """Where they are kept: under what decides them. Before, the classifier is that of a seed."""
    known = {
        "kind": "class centres",
        "data": job.data.identity(),
        "teacher": teacher.identity(module),
        **teacher.input_settings(),
        "device": job.data.platform.device.type,
        "torch": torch_version(),
    }
    name = f"class-centres-{slug(teacher.section.model)}-{fingerprint(known)}.safetensors"
    return job.shared / name


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
                image = batch["batch.image"].to(device)
                heard.clear()
                module(image if own is None else own(image))
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
