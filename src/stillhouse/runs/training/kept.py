"""What is computed of a teacher's embeddings of the training rows once, and kept for other runs."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from stillhouse.errors import RunError
from stillhouse.records.environment import torch_version
from stillhouse.records.fingerprint import fingerprint
from stillhouse.records.names import slug
from stillhouse.records.tensors import load_tensors, save_tensors
from stillhouse.runs.job.job import Job
from stillhouse.runs.job.teacher import Teacher


def kept(
    job: Job,
    teacher: Teacher,
    module: nn.Module,
    kind: str,
    said: str,
    compute: Callable[[], Mapping[str, Tensor]],
    **more: Any,
) -> Mapping[str, Tensor]:
    """Tensors that stand beside the shared teachers under what decides them, or are made now.

    Args:
        job: whose training rows.
        teacher: how the module was made.
        module: the teacher as it is before it gets them.
        kind: the beginning of the file's name, in words.
        said: to the watcher, where they are made.
        compute: makes them; by one process alone.
        more: what else decides them.
    """
    known = {
        "kind": kind,
        "data": job.data.identity(),
        "teacher": teacher.identity(module),
        **teacher.input_settings(),
        "device": job.data.platform.device.type,
        "torch": torch_version(),
        **more,
    }
    name = f"{slug(kind)}-{slug(teacher.section.model)}-{fingerprint(known)}.safetensors"
    path = job.shared / name

    def write() -> None:
        if not path.is_file():
            job.watcher.say(f"{teacher.role}: {said}")
            path.parent.mkdir(parents=True, exist_ok=True)
            save_tensors(path, dict(compute()), {})

    job.data.platform.by_main(write)
    found, _ = load_tensors(path, RunError, "delete it, and it is made again")
    return found
