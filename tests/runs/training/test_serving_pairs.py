"""Pairs may differ from student to student: the teacher cache holds what all of them read."""

import json
from dataclasses import replace
from pathlib import Path

import stillhouse as sh
from stillhouse.runs.job.job import Job, Start


def test_a_cache_holds_what_the_students_of_all_seeds_read(tmp_path: Path, monkeypatch) -> None:
    real = Job.student_stage

    def other_layers(job: Job, start: Start, teacher):
        """The student of seed 1 pairs with another layer of the teacher."""
        pairs = (("layer2", "layer2" if start.seed == 0 else "layer1"),)
        method = job.recipe.method.model_copy(update={"pairs": pairs})
        other = replace(job, recipe=job.recipe.model_copy(update={"method": method}))
        stage = real(other, start, teacher)
        return replace(stage, notes={"pairs": str(pairs)})

    monkeypatch.setattr(Job, "student_stage", other_layers)
    outcome = sh.distill(
        out=tmp_path / "run",
        data={"source": "digits", "limit": 160, "augment": "none"},
        student="convnet-4-8-16",
        teacher="convnet-8-8-16",
        method={"name": "at", "weight": 1.0},
        epochs=1,
        batch=32,
        seeds=2,
        precision="fp32",
        cache="always",
    )
    served = json.loads((tmp_path / "run/teacher.json").read_text(encoding="utf-8"))
    assert served["cached"]
    runs = {model["role"]: model["runs"] for model in outcome.scores["models"]}["student"]
    assert [run["notes"]["pairs"] for run in runs] == [
        "(('layer2', 'layer2'),)",
        "(('layer2', 'layer1'),)",
    ]
