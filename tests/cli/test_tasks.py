"""Tasks: what is listed of them, the recipe of their page, and a comparison by a task's measure."""

import json
import re
from pathlib import Path

import torch
from drawn_people import people_in

from stillhouse.errors import RunError
from stillhouse.records.tensors import load_tensors

PAGE = Path(__file__).resolve().parents[2] / "docs/tasks.md"
SMALL = {"epochs": 1, "seeds": 1, "batch": 16, "precision": "fp32", "teacher": "convnet-4-8",
         "student": "convnet-4-4"}  # fmt: skip


def settings(**more: object) -> list[str]:
    known = (f"{key}={value}" for key, value in {**SMALL, **more}.items())
    return [part for each in known for part in ("--set", each)]


def test_tasks_are_listed_with_what_they_need_measure_and_take(command) -> None:
    said = command("ls", "tasks")
    assert said.code == 0, said.err
    text = " ".join(said.out.split())
    for part in (
        "Measures: EER in %, less is better; beside it AUC",
        "Measures: accuracy in %, more is better; on data.unseen what the task 'verification'",
        "people whom training has none of",
        "margin = arcface (of arcface, cosface, none)",
        "not simkd (the task 'verification' scores the embedding of a network",
        "Methods: all ",
    ):
        assert part in text, part


def test_the_recipe_of_the_page_runs_and_shows_no_picture_of_anybody(command) -> None:
    (recipe,) = re.findall(r"```yaml\n(data: .*?)```", PAGE.read_text(), re.DOTALL)
    assert len(recipe.splitlines()) <= 10
    people_in(Path("people"))
    Path("recipe.yaml").write_text(recipe)
    said = command("run", "recipe.yaml", "-o", "run", "-q", *settings())
    assert said.code == 0, said.err
    assert re.search(
        r"EER \d+\.\d\d points (lower|higher|apart) (than|from) the control's", said.out
    )
    assert "One seed, on these test rows" in said.out
    assert "For other people, with these networks, it is" in said.out
    assert re.search(
        r"TAR at FAR 0.01 needs 100 pairs of different people|TAR at FAR 0.001", said.out
    )
    (found,) = json.loads(Path("run/scores.json").read_text())["figures"]
    assert found["over"] == "people"
    assert found["count"] == 5
    page = Path("run/report.html").read_text()
    assert "<h2>Verification</h2>" in page
    assert "<h2>Class by class</h2>" not in page
    assert "No picture of a test image is shown" in page
    assert "<img" not in page
    assert not list(Path("run").rglob("*examples*"))
    said = command("run", "recipe.yaml", "-o", "shown", "-q", *settings(), "--set",
                   "data.pictures=true")  # fmt: skip
    assert said.code == 0, said.err
    page = Path("shown/report.html").read_text()
    assert "Different people, taken for most alike" in page
    assert page.count("<img") == 24
    answers, _ = load_tensors(Path("shown/answers.safetensors"), RunError, "")
    z = torch.nn.functional.normalize(answers["student/0/embedding"].double(), dim=1)
    who = answers["label"]
    first, second = torch.triu_indices(len(z), len(z), 1)
    cosine = (z[first] * z[second]).sum(1)
    worst = cosine[who[first] != who[second]].max().item()
    assert f"cosine {worst:.2f}" in page


def test_what_does_not_fit_is_left_out_of_a_comparison_and_refused_as_an_arm(command) -> None:
    people_in(Path("people"))
    values = {"data": {"source": "people", "test": 4, "validation": 3}, "task": "verification"}
    shared = {**values, **SMALL}
    Path("study.yaml").write_text(json.dumps({**shared, "methods": ["kd", "simkd"]}))
    said = command("run", "study.yaml", "-o", "study")
    assert said.code == 2
    assert "simkd" in said.err
    assert "scores the embedding of a network" in said.err
    Path("study.yaml").write_text(json.dumps({**shared, "methods": ["kd", "embedding_kd"]}))
    said = command("run", "study.yaml", "-o", "study", "-q")
    assert said.code == 0, said.err
    arms = json.loads(Path("study/study.json").read_text())["arms"]
    last = {arm["name"]: arm["runs"][0]["test"]["last"] for arm in arms}
    listed = [line.split()[0] for line in said.out.splitlines() if line.startswith(tuple(last))]
    assert listed[-2:] == sorted(last, key=lambda name: last[name]), "the lowest error comes first"
    assert "against its control" in said.out


def test_a_comparison_without_labels_says_that_there_is_no_plain_kd(command) -> None:
    import numpy as np
    from PIL import Image
    from safetensors.torch import save_file

    from stillhouse.models import build_model

    Path("pile").mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (40, 8, 8, 3)).astype(np.uint8)
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(f"pile/{number}.png")
    save_file(build_model("convnet-4-8", classes=3).state_dict(), "teacher.safetensors")
    values = {
        **SMALL, "data": "pile", "task": {"name": "embedding", "neighbours": 1},
        "teacher": {"model": "convnet-4-8", "weights": "teacher.safetensors"},
    }  # fmt: skip
    Path("recipe.yaml").write_text(json.dumps(values))
    said = command("compare", "rkd", "--recipe", "recipe.yaml", "-o", "out", "--check")
    assert said.code == 0, said.err
    assert "No method is compared with plain KD, each with the control alone" in said.out
    assert "rkd" in said.out
    said = command("compare", "simkd", "--recipe", "recipe.yaml", "-o", "out", "--check")
    assert said.code == 2
    assert "What fits is fitnet" in said.err
