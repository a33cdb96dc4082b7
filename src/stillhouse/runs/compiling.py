"""Whether a run is compiled: measured, once for a student, and then kept for all of its runs.

Compiled and eager steps differ in the last bits, so the choice may not fall anew when a run goes
on or when another method joins: it is written down beside the controls that it decides.
"""

import json
import statistics
import time
from typing import TYPE_CHECKING, Any

import torch
from filelock import FileLock

from stillhouse.engine.trainer import training
from stillhouse.errors import RunError
from stillhouse.records.files import write_json
from stillhouse.records.fingerprint import fingerprint

if TYPE_CHECKING:
    from stillhouse.runs.distill import Distillation

SHORT_SECONDS = 300.0
"""A training that is shorter than this stays eager: compiling takes half a minute on two cores,
and more where several forms are compiled."""
WORTH = 0.95
"""Compiled if it takes at most this share of the eager time, compiling included."""
WARM, TIMED = 2, 5


def settle_compile(job: "Distillation") -> bool:
    """What ``compile: auto`` means for the student of this run and its control."""
    wanted = job.recipe.compile
    if wanted != "auto":
        return wanted
    path = job.shared / f"compile-{fingerprint(_key(job))}.json"
    if job.feeds.platform.main:
        job.shared.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):  # two runs must not decide differently
            if not path.exists():
                write_json(path, {**_key(job), **_decide(job)})
    job.feeds.platform.wait()
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        chosen, why = bool(found["compile"]), str(found["why"])
    except (ValueError, TypeError, KeyError) as error:
        raise RunError(f"{path} is damaged ({error!r}); delete it") from None
    if chosen:
        job.watcher.say(f"compiled: {why}")
    return chosen


def _key(job: "Distillation") -> dict[str, Any]:
    platform = job.feeds.platform
    return {
        "student": job.student.section.model,
        "image": list(job.feeds.image_shape),
        **job.student_input_settings(),
        "classes": len(job.feeds.splits.classes),
        "rows": len(job.feeds.splits.train),
        "batch": job.feeds.batch,
        "epochs": job.recipe.epochs,
        "precision": platform.precision,
        "device": platform.device.type,
        "processes": platform.world,
        "torch": torch.__version__,
    }


def _decide(job: "Distillation") -> dict[str, Any]:
    if job.feeds.platform.world > 1:
        return {"compile": False, "why": "several processes: write compile: true to compile them"}
    eager, _ = _seconds_per_step(job, compile=False)
    seed = job.recipe.seeds[0]
    steps = job.recipe.epochs * len(job.feeds.train(seed))
    if steps * eager < SHORT_SECONDS:
        why = f"a training of about {steps * eager:.0f} s is too short to compile"
        return {"compile": False, "why": why, "eager": eager}
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


def _seconds_per_step(job: "Distillation", *, compile: bool) -> tuple[float, float]:
    """The median step of the student alone, and the seconds that its first step took."""
    seed = job.recipe.seeds[0]
    stage, train = job.control_stage(seed, None), job.feeds.train(seed)
    settings = job.settings(seed, compile=compile)
    with training(stage, train, settings, job.feeds.platform) as trainer:
        steps = trainer.steps(0)
        seconds = []
        for _ in range(min(1 + WARM + TIMED, trainer.per_epoch)):
            began = time.perf_counter()
            next(steps)
            if job.feeds.platform.device.type == "cuda":
                torch.cuda.synchronize(job.feeds.platform.device)
            seconds.append(time.perf_counter() - began)
    later = seconds[min(1 + WARM, len(seconds) - 1) :]
    return statistics.median(later), seconds[0]
