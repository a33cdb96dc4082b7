"""Runs whose student is made out of its teacher: from where it starts, what is checked and kept."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny import tiny_net
from torch import Tensor, nn

import stillhouse as sh
from stillhouse.errors import MissingExtra, ModelError
from stillhouse.models import weights_fingerprint
from stillhouse.recipes import make_recipe
from stillhouse.recipes.derive import LowRankSection
from stillhouse.records.costs import COSTS
from stillhouse.runs.job.derived import DerivedNetwork, rebuild
from stillhouse.runs.job.job import Job
from stillhouse.runs.run import Objects, prepare
from stillhouse.runs.training.training import control_training, student_training
from stillhouse.students import low_rank

pytestmark = pytest.mark.programs

LOW = {"derive": "low_rank", "ratio": 0.5}


def rows(count: int) -> list[tuple[np.ndarray, int]]:
    made = np.random.default_rng(count)
    return [
        ((made.integers(0, 150, (8, 8, 3)) + 30 * (i % 3)).astype(np.uint8), i % 3)
        for i in range(count)
    ]


def prepared(image: np.ndarray) -> Tensor:
    return torch.as_tensor(image).float().permute(2, 0, 1) / 128 - 1


SHOWN = {"transform": prepared, "eval_transform": prepared}
SMALL = {"epochs": 1, "batch": 16, "precision": "fp32"}


def distil(out: Path, student: dict, teacher=None, **settings):
    return sh.distill(
        data={"source": (rows(60), rows(40)), **SHOWN}, teacher=teacher or tiny_net(8, 3),
        student=student, out=out, **{**SMALL, "seeds": 1, **settings},
    )  # fmt: skip


def job_of(tmp_path: Path, student: dict, teacher=None, **settings) -> Job:
    given = teacher or tiny_net(8, 3)
    recipe = make_recipe(
        {"data": "rows", "teacher": "TinyNet", "student": student, "epochs": 1, "batch": 16,
         "precision": "fp32", **settings}
    )  # fmt: skip
    objects = Objects(data=(rows(60), rows(40)), teacher=given, **SHOWN)
    return prepare(recipe, tmp_path / "run", objects=objects)


def taught(job: Job, teacher: nn.Module) -> Job:
    return replace(job, student=job.student.out_of(teacher))


def stages_of(job: Job, seed: int, teacher: nn.Module) -> list:
    return [control_training(job, seed).stage, student_training(job, seed, teacher).stage]


def start_of(stage) -> nn.Module:
    return stage.role("student").module


def test_student_and_control_start_as_what_is_made_of_the_teacher(tmp_path: Path) -> None:
    teacher = tiny_net(8, 3)
    job = taught(job_of(tmp_path, LOW, teacher), teacher)
    wanted = weights_fingerprint(low_rank(teacher, ratio=0.5).module)
    for seed in (0, 1):
        stages = stages_of(job, seed, teacher)
        assert [weights_fingerprint(start_of(stage)) for stage in stages] == [wanted] * 2
    assert start_of(stages_of(job, 0, teacher)[0]) is not start_of(stages_of(job, 0, teacher)[0])


def test_from_scratch_each_seed_starts_elsewhere_with_its_control(tmp_path: Path) -> None:
    teacher = tiny_net(8, 3)
    job = taught(job_of(tmp_path, {**LOW, "start": "scratch"}, teacher), teacher)
    stages = [stage for seed in (0, 1) for stage in stages_of(job, seed, teacher)]
    first, with_it, other, with_other = (weights_fingerprint(start_of(each)) for each in stages)
    assert first == with_it != other == with_other
    shapes = {key: value.shape for key, value in start_of(stages[0]).state_dict().items()}
    wanted = low_rank(teacher, ratio=0.5).module.state_dict()
    assert shapes == {key: value.shape for key, value in wanted.items()}


def test_fingerprints_know_the_teachers_weights_and_the_settings(tmp_path: Path) -> None:
    def mark(student: dict, teacher: nn.Module, seed: int = 0) -> str:
        return control_training(taught(job_of(tmp_path, student, teacher), teacher), seed).identity

    same = [mark(LOW, tiny_net(8, 3)) for _ in range(2)]
    scratch = {**LOW, "start": "scratch"}
    others = [
        mark({**LOW, "ratio": 0.4}, tiny_net(8, 3)), mark(LOW, tiny_net(8, 4)),
        mark({**LOW, "scheme": "spatial"}, tiny_net(8, 3)), mark(scratch, tiny_net(8, 3)),
        mark(scratch, tiny_net(8, 3), seed=1),
    ]  # fmt: skip
    assert same[0] == same[1]
    assert len({*others, same[0]}) == len(others) + 1


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("derived") / "run"
    return out, distil(out, LOW, seeds=2)


def test_the_program_answers_as_the_student_and_needs_torch_alone(finished, tmp_path: Path) -> None:
    out, outcome = finished
    image = torch.stack([prepared(image) for image, _ in rows(40)])
    torch.save(image, tmp_path / "image.pt")
    script = (
        "import sys; sys.modules['stillhouse'] = None; import torch; "
        f"made = torch.export.load({str(out / 'student.pt2')!r}).module(); "
        f"torch.save(made(torch.load({str(tmp_path / 'image.pt')!r})).detach(), "
        f"{str(tmp_path / 'made.pt')!r})"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path)
    made = torch.load(tmp_path / "made.pt")
    torch.testing.assert_close(made, outcome.student(image).detach(), rtol=1e-4, atol=1e-5)
    share = (made.argmax(1) == torch.tensor([label for _, label in rows(40)])).float().mean()
    run = next(model for model in outcome.scores["models"] if model["role"] == "student")["runs"]
    assert share.item() == pytest.approx(run[0]["test"]["last"])
    listed = [one["file"] for one in json.loads((out / "products.json").read_text())["products"]]
    assert listed == [
        "student.safetensors", "student.pt2", "student-best.safetensors", "student-best.pt2"
    ]  # fmt: skip


def test_the_weights_fit_what_is_made_of_the_teacher_again(finished) -> None:
    out, outcome = finished
    made = low_rank(tiny_net(8, 3), ratio=0.5).module
    made.load_state_dict(load_file(out / "student.safetensors"))
    image = torch.rand(4, 3, 8, 8)
    assert torch.equal(made.eval()(image), outcome.student(image))


def test_costs_are_written_once(finished) -> None:
    out, outcome = finished
    costs = json.loads((out / COSTS).read_text())
    teacher, before, after = costs["networks"]
    roles = {model["role"]: model for model in outcome.scores["models"]}
    assert teacher["parameters"] == roles["teacher"]["parameters"]
    assert before["parameters"] == after["parameters"] == roles["student"]["parameters"]
    assert before["macs"] < teacher["macs"]
    assert after["test"] == roles["student"]["runs"][0]["test"]["last"]
    assert teacher["test"] == roles["teacher"]["runs"][0]["test"]["last"]
    assert [change["path"] for change in costs["changes"]] == ["conv"]
    before = (out / COSTS).stat().st_mtime_ns
    (out / "scores.json").unlink()  # judged again, by what was trained
    again = distil(out, LOW, seeds=2)
    assert (out / COSTS).stat().st_mtime_ns == before, "times are not taken twice"
    assert all(run["reused"] for run in again.scores["models"][1]["runs"])


def test_the_start_scores_what_the_teacher_left_in_it(finished, tmp_path: Path) -> None:
    out, _ = finished
    made = low_rank(tiny_net(8, 3), ratio=0.5).module.eval()
    images, labels = zip(*rows(40), strict=True)
    answers = made(torch.stack([prepared(image) for image in images])).argmax(1)
    share = (answers == torch.tensor(labels)).float().mean().item()
    costs = json.loads((out / COSTS).read_text())
    assert costs["networks"][1]["test"] == pytest.approx(share)


def test_a_teacher_that_is_trained_first_decides_an_energy(tmp_path: Path) -> None:
    out = distil(
        tmp_path / "run",
        {"derive": "low_rank", "energy": 0.6},
        lambda: tiny_net(8, 3),
        control=False,
    )
    assert out.student.conv.reduce.weight.shape[0] < 8
    conv = dict(out.student.named_modules())["conv"]
    assert set(dict(conv.named_children())) == {"reduce", "expand"}


def test_what_makes_nothing_smaller_is_said_before_anything_is_trained(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"makes nothing smaller of TinyNet .*rank 8 of 8"):
        job_of(tmp_path, {"derive": "low_rank", "rank": 99})
    with pytest.raises(ModelError, match=r"energy 1\.0 makes nothing smaller"):
        job_of(tmp_path, {"derive": "low_rank", "energy": 1.0})
    assert not (tmp_path / "run").exists()


class Direct(nn.Module):
    """Reads a weight past its layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 8, 3), nn.Linear(8, 3)

    def forward(self, image: Tensor) -> Tensor:
        return self.fc(nn.functional.conv2d(image, self.conv.weight).mean((2, 3)))


def test_a_network_that_no_longer_runs_is_refused_with_what_to_keep() -> None:
    section = LowRankSection(derive="low_rank", rank=1)
    with pytest.raises(ModelError, match=r"does not run \(AttributeError.*in keep .*changed were"):
        rebuild(section, Direct(), (3, 8, 8))


def test_without_torch_pruning_nothing_is_trained(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "torch_pruning", None)
    with pytest.raises(MissingExtra, match=r"stillhouse\[prune\]"):
        job_of(tmp_path, {"derive": "prune", "ratio": 0.5})


def test_a_pruned_student_of_a_users_own_network(tmp_path: Path) -> None:
    pytest.importorskip("torch_pruning", reason="torch-pruning is not installed")
    outcome = distil(tmp_path / "run", {"derive": "prune", "ratio": 0.5})
    assert outcome.student.conv.out_channels == 4
    assert (tmp_path / "run" / "student.pt2").is_file()


def test_a_thinner_student_is_an_ordinary_one(tmp_path: Path) -> None:
    recipe = make_recipe(
        {
            "data": "digits",
            "teacher": "convnet-8-16",
            "student": {"derive": "thinner", "ratio": 0.5},
        }
    )
    job = prepare(recipe, tmp_path / "run")
    assert not isinstance(job.student, DerivedNetwork)
    name = job.student.section.model
    named = prepare(make_recipe({**recipe.model_dump(), "student": name}), tmp_path / "run")
    marks = [each.identity("control", each.settings(0), each.student) for each in (job, named)]
    assert marks[0] == marks[1], "they share their control"
    with pytest.raises(ModelError, match="no model of the catalogue"):
        job_of(tmp_path, {"derive": "thinner", "ratio": 0.5})


def test_the_teachers_classifier_can_be_shared(tmp_path: Path) -> None:
    teacher = tiny_net(8, 3)
    wanted = teacher.fc.weight.clone()
    outcome = distil(tmp_path / "run", {**LOW, "head": "shared"}, teacher)
    assert torch.equal(outcome.student.fc.weight, wanted)
    assert torch.equal(teacher.fc.weight, wanted)
