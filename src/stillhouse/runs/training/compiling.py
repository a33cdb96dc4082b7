"""Whether a run is compiled: measured, once for a student, and then kept for all of its runs.

Compiled and eager steps differ in the last bits, so the choice may not fall anew when a run goes
on or when another method joins: it is written down beside the controls that it decides.
"""

from pathlib import Path
from typing import Any

import torch

from stillhouse.engine.graphs import Compile
from stillhouse.engine.layout import breaks_channels_last
from stillhouse.engine.seeding import seeded
from stillhouse.engine.signals import LOGITS
from stillhouse.engine.trainer import training
from stillhouse.errors import RunError
from stillhouse.models.calling import run_on
from stillhouse.models.outputs import named_outputs
from stillhouse.records.checked import read_checked, write_checked
from stillhouse.records.environment import torch_version
from stillhouse.records.files import remove_unfinished
from stillhouse.records.fingerprint import fingerprint
from stillhouse.records.locks import lock_on
from stillhouse.runs.job.inputs import behind
from stillhouse.runs.job.job import Job
from stillhouse.runs.training.forecast import TIMED, WARM, median_later, seconds_of

SHORT_SECONDS = 300.0
"""A training that is shorter than this stays eager: compiling takes half a minute on two cores,
and more where several forms are compiled."""
AGAIN = "delete it, and it is measured again"
WORTH = 0.95
"""Compiled if it takes at most this share of the eager time, compiling included."""


def settle_compile(job: Job) -> Compile:
    """What ``compile: auto`` means for the student of this run and its control."""
    wanted = job.recipe.compile
    if wanted != "auto":
        return wanted
    path = job.shared / f"compile-{fingerprint(_key(job))}.json"
    job.data.platform.by_main(lambda: _settle(job, path))
    found = read_checked(path, RunError, AGAIN)
    chosen, why = found.get("compile"), found.get("why")
    if not isinstance(chosen, bool):
        raise RunError(f"{path} does not say whether to compile; {AGAIN}")
    if chosen:
        job.watcher.say(f"compiled: {why}")
    return chosen


def _settle(job: Job, path: Path) -> None:
    """Decide, where nobody has."""
    if path.exists():
        return
    job.shared.mkdir(parents=True, exist_ok=True)
    with lock_on(path.with_suffix(".lock")):  # two runs must not decide differently
        remove_unfinished(job.shared)
        if not path.exists():
            with seeded("compile"):
                write_checked(path, {**_key(job), **_decide(job)})


def _key(job: Job) -> dict[str, Any]:
    platform = job.data.platform
    return {
        "student": job.student.section.model,
        "image": list(job.data.input_shape),
        **job.student_input_settings(),
        "classes": job.data.classes,
        "rows": len(job.data.splits.train),
        "batch": job.data.batch,
        "epochs": job.recipe.epochs,
        "precision": platform.precision,
        "device": platform.device.type,
        "processes": platform.world,
        "torch": torch_version(),
    }


def _decide(job: Job) -> dict[str, Any]:
    if job.data.platform.world > 1:
        return {"compile": False, "why": "several processes: write compile: true to compile them"}
    if not job.task.labelled:
        why = "without labels no control is trained that could be timed: write compile: true"
        return {"compile": False, "why": why}
    if job.task.learnt != LOGITS:
        why = "the loss is computed inside the network, by loops over images that no graph holds"
        return {"compile": False, "why": why}
    steps = job.recipe.epochs * len(job.data.train(job.recipe.seeds[0]))
    alone = _seconds_of_network(job)
    if steps * alone < SHORT_SECONDS:
        why = f"a training of about {steps * alone:.0f} s is too short to compile"
        return {"compile": False, "why": why, "eager": alone}
    eager, _ = _seconds_per_step(job, compile=False)
    try:
        compiled, start = _seconds_per_step(job, compile=True)
    except Exception as error:  # no compiler, or a model that it cannot take
        said = str(error).strip().splitlines() or [type(error).__name__]
        return {"compile": False, "why": f"it cannot be compiled here ({said[0]})"}
    pays = start + steps * compiled < WORTH * steps * eager
    why = (
        f"{1000 * compiled:.1f} ms a step instead of {1000 * eager:.1f} ms, "
        f"{start:.0f} s to compile"
    )
    return {"compile": pays, "why": why, "eager": eager, "compiled": compiled, "start": start}


def _seconds_of_network(job: Job) -> float:
    """The median forward and backward pass of the student on one batch, with nothing around it.

    What loading takes is not in it: no compilation saves that.
    """
    platform, seed = job.data.platform, job.recipe.seeds[0]
    network = behind(job.student_input, job.student.make(seed)).to(platform.device)
    network.train()
    train, dtype = job.data.train(seed), platform.autocast_dtype
    given = job.data.inputs(train.sample(train.batch_size))
    if breaks_channels_last(network, platform.device):
        given = {name: value.contiguous() for name, value in given.items()}

    def step() -> None:
        with torch.autocast(platform.device.type, dtype, enabled=dtype is not None):
            output = named_outputs(run_on(network, given))[LOGITS]
        output.float().square().mean().backward()

    return median_later(seconds_of(step, WARM + TIMED, platform))


def _seconds_per_step(job: Job, *, compile: bool) -> tuple[float, float]:
    """The median step of the student alone, and the seconds that its first step took."""
    seed, platform = job.recipe.seeds[0], job.data.platform
    stage, train = job.control_stage(job.student.make(seed)), job.data.train(seed)
    with training(stage, train, job.settings(seed, compile=compile), platform) as trainer:
        steps, count = trainer.steps(0), min(1 + WARM + TIMED, trainer.per_epoch)
        seconds = seconds_of(lambda: next(steps), count, platform)
    return median_later(seconds, 1 + WARM), seconds[0]
