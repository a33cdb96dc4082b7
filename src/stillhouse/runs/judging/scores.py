"""scores.json: the table and the verdict of a run, as data."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from stillhouse.models import describe
from stillhouse.recipes.networks import ModelSection, TeacherSection, titled
from stillhouse.runs.job.job import Job
from stillhouse.runs.judging.integers import integer_bytes
from stillhouse.runs.judging.scoring import Scored
from stillhouse.runs.judging.verdict import Verdict, judge
from stillhouse.runs.training.serving import ServingRecord
from stillhouse.runs.training.transfer import TransferSet

SCORES = "scores.json"


def first_label(scored: Scored) -> str:
    """The inference that a model is judged by."""
    return next(iter(scored.test))


def verdict_of(method: str, scored: Sequence[Scored], images: int) -> Verdict:
    """Paired over seeds, on the test accuracy (over so many images) of the last epoch."""
    last = {
        (one.role, one.seed): one.test[first_label(one)]["last"]
        for one in scored
        if one.role in ("control", "student")
    }
    seeds = [one.seed for one in scored if one.role == "student"]
    control = [last["control", seed] for seed in seeds if ("control", seed) in last]
    return judge(method, [last["student", seed] for seed in seeds], control, images=images)


def _run(one: Scored) -> dict[str, Any]:
    label = first_label(one)
    entry: dict[str, Any] = {
        "seed": one.seed,
        "epochs": one.run.epochs if one.run else 0,
        "best_epoch": one.run.best_epoch if one.run else 0,
        "seconds": round(one.run.seconds, 2) if one.run else 0.0,
        "reused": bool(one.run and one.run.reused),
        "validation": one.validation,
        "test": one.test[label],
    }
    others = {name: scores for name, scores in one.test.items() if name != label}
    if others:
        entry["heads"] = others
    if one.heads_validation:
        entry["heads_validation"] = one.heads_validation
    if one.diagnostics:
        entry["diagnostics"] = one.diagnostics
    if one.notes:
        entry["notes"] = dict(one.notes)
    if one.run is None:
        entry["given"] = True
    return entry


def _models(job: Job, scored: Iterable[Scored]) -> list[dict[str, Any]]:
    sections: dict[str, ModelSection] = {each.role: each.section for each in job.teachers}
    sections |= dict.fromkeys(("control", "student"), job.student.section)
    rows: dict[str, dict[str, Any]] = {}
    for one in scored:
        if one.role not in rows:
            section, size, in_int8 = (
                sections[one.role], describe(one.module), integer_bytes(one.module)
            )  # fmt: skip
            model = titled(section) if isinstance(section, TeacherSection) else section.model
            rows[one.role] = {
                "role": one.role,
                "model": model,
                "parameters": size.parameters,
                "bytes": size.bytes,
                **({"heads_bytes": in_int8} if in_int8 else {}),
                "runs": [],
            }
        rows[one.role]["runs"].append(_run(one))
    return list(rows.values())


def _paper_line(job: Job) -> dict[str, Any]:
    method = job.method
    settings = job.recipe.method.settings()
    return {"name": method.name, "line": method.line, "paper": method.paper, "settings": settings}


def _transfer(job: Job, made: Sequence[TransferSet]) -> dict[str, Any] | None:
    """What the students learnt on instead of the data; None when they learnt on the data."""
    section = job.recipe.transfer
    if section is None or not made:
        return None
    seconds = sum(each.tally.seconds for each in made)
    return {
        "method": section.method.name,
        "settings": section.method.model_dump(mode="json", exclude={"name"}),
        "count": section.count,
        "images_per_epoch": section.images_per_epoch or section.count,
        "augment": section.model_dump(mode="json")["augment"],
        "seconds": round(seconds, 2),
        "images_per_second": round(len(made) * section.count / max(seconds, 1e-9), 3),
        "sets": [
            {"seed": each.seed, "directory": each.directory.name,
             "seconds": round(each.tally.seconds, 2), "balance": dict(each.tally.balance)}
            for each in made
        ],
    }  # fmt: skip


def describe_run(
    job: Job,
    scored: Sequence[Scored],
    sets: Sequence[TransferSet],
    served: ServingRecord | None,
    seconds: float,
) -> dict[str, Any]:
    """Everything that the table, the verdict line and the report show.

    Args:
        job: what was run.
        scored: teachers, controls and students.
        sets: the transfer sets that students learnt on, if they did.
        served: how the teachers served, where a method read one.
        seconds: spent on all of it.
    """
    splits = job.data.splits
    return {
        "title": job.recipe.title,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "finished": True,
        "seconds": round(seconds, 2),
        "data": {
            "name": splits.name,
            "train": len(splits.train),
            "validation": len(splits.validation),
            "test": len(splits.test),
            "classes": len(splits.classes),
            "image": list(job.data.image_shape),
        },
        "transfer": _transfer(job, sets),
        "method": _paper_line(job),
        "models": _models(job, scored),
        "teacher_served": None if served is None else asdict(served),
        "verdict": verdict_of(job.method.name, scored, len(splits.test)).as_dict(),
    }
