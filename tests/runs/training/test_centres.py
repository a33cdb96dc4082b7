"""A teacher that gives embeddings alone: its classifier of centres, shared by a student."""

from pathlib import Path
from typing import cast

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import stillhouse as sh
from stillhouse.data.load import Splits, load
from stillhouse.data.samples import mean_std_of
from stillhouse.data.tables import ImageTable
from stillhouse.errors import ModelError, RecipeError, StillhouseError, WeightsError, WiringError
from stillhouse.models.cosine_head import CosineHead
from stillhouse.models.mobilefacenet import MobileFaceNet
from stillhouse.recipes.networks import TeacherSection
from stillhouse.runs.job.job import Job
from stillhouse.runs.training.teachers import Teachers
from stillhouse.verification.pairs import all_pairs

SIZE, PAD, WIDTH = (16, 12), [2, 3, 2, 5], 16
NAME = f"mobilefacenet_0.25-{WIDTH}"


def table(whole: ImageTable, classes: list[int], count: int) -> ImageTable:
    chosen = torch.isin(whole.labels, torch.tensor(classes))
    return ImageTable(whole.images[chosen][:count], whole.labels[chosen][:count])


@pytest.fixture(scope="module")
def people() -> Splits:
    whole = load("digits").train
    assert isinstance(whole, ImageTable)
    tables = [table(whole, which, 64) for which in ([0, 1, 2, 3], [4, 5], [6, 7])]
    names = tuple("01234567")
    pairs = {part: all_pairs(each.labels) for part, each in
             zip(("validation", "test"), tables[1:], strict=True)}  # fmt: skip
    return Splits("people", *tables, names[:4], "people-1", people=names, pairs=pairs)


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of a network without a classifier, as published face networks come."""
    torch.manual_seed(5)
    network = MobileFaceNet(channels=1, size=SIZE, width=0.25, embedding=WIDTH)
    file = tmp_path_factory.mktemp("weights") / "faces.safetensors"
    save_file(network.state_dict(), file)
    return file


def asked(people: Splits, embedder: Path, out: Path, **more) -> dict:
    teacher = {"model": NAME, "weights": embedder, "input": {"pad": PAD}, "centres": True}
    return {
        "data": people, "out": out, "epochs": 1, "seeds": 1, "batch": 32, "precision": "fp32",
        "task": {"name": "verification", "scale": 16.0}, "student": "resnet8w4", "teacher": teacher,
        "control": False, **more,
    }  # fmt: skip


def checked(**given) -> Job:
    """All that is checked before anything is trained."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("stillhouse.api.run", lambda job: job)
        return cast(Job, sh.distill(**given))


def test_a_student_shares_the_centres_of_a_teacher_without_classes(
    people: Splits, embedder: Path, tmp_path: Path
) -> None:
    student = {"model": f"resnet8w{WIDTH // 4}", "head": "shared"}
    job = checked(**asked(people, embedder, tmp_path / "run", student=student, method="th_kd"))
    assert not list(job.shared.glob("class-centres-*")), "a check makes none"
    teacher = Teachers(job).trained(0)
    assert teacher is not None
    (file,) = job.shared.glob("class-centres-*.safetensors")
    centres = load_file(file)["centres"]
    network = MobileFaceNet(channels=1, size=SIZE, width=0.25, embedding=WIDTH).eval()
    network.load_state_dict(load_file(embedder))
    rows = people.train
    assert isinstance(rows, ImageTable)
    mean, std = mean_std_of(rows)
    padded = torch.zeros(len(rows), 1, *SIZE)
    padded[:, :, 3:11, 2:10] = rows.images.permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        z = network((padded - mean[0]) / std[0]).double()
    unit = z / z.norm(dim=1, keepdim=True)
    for k in range(4):
        total = unit[rows.labels == k].sum(0)
        torch.testing.assert_close(centres[k].double(), total / total.norm(), rtol=1e-4, atol=1e-5)
    assert torch.equal(teacher.module.get_submodule("fc").weight, centres)
    start = job.start(0)
    stage = job.student_stage(start, teacher.module)
    head = start.student.get_submodule("fc")
    assert isinstance(head, CosineHead)
    assert torch.equal(head.weight, centres)
    assert head.scale == 16.0
    assert stage.role("student").frozen == ("fc",)
    written = file.stat().st_mtime_ns
    again = Teachers(job).trained(0)
    assert again is not None
    assert torch.equal(again.module.get_submodule("fc").weight, centres)
    assert file.stat().st_mtime_ns == written


def test_what_needs_logits_is_refused_of_a_teacher_without_a_classifier(
    people: Splits, embedder: Path, tmp_path: Path
) -> None:
    bare = {"model": NAME, "weights": embedder, "input": {"pad": PAD}, "head_path": "none"}
    given = asked(people, embedder, tmp_path / "run", teacher=bare)
    with pytest.raises(WiringError, match=r"has no classes .*'teacher.logits' are asked for"):
        checked(**given, method="kd")
    for method in (
        {"name": "embedding_kd", "kd_weight": 0.0, "label_weight": 0.0, "distance": "cosine"},
        {"name": "projector_logsum", "kd_weight": 0.0, "label_weight": 0.0},
    ):
        checked(**given, method=method)
    with pytest.raises(StillhouseError, match="no classifier"):
        checked(**given, method="th_kd")


def test_centres_that_cannot_be_are_said(people: Splits, embedder: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="trained here with a classifier of its own"):
        checked(**asked(people, embedder, tmp_path, teacher={"model": "resnet8", "centres": True}))
    shared = {"model": "resnet8w3", "head": "shared"}
    with pytest.raises(ModelError, match=r"CosineHead \(weight \[4, 12\], scale 16\).*CosineHead"):
        checked(**asked(people, embedder, tmp_path, student=shared, method="kd"))
    other = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), CosineHead(16, 4, scale=64.0))
    shared = {"model": "resnet8w4", "head": "shared"}
    with pytest.raises(ModelError, match=r"\[4, 16\], scale 16\), the other .*, scale 64\)"):
        checked(**asked(people, embedder, tmp_path, teacher=other, student=shared, method="kd"))
    with pytest.raises(ValueError, match="centres: true makes a classifier"):
        TeacherSection(model="resnet8", centres=True, output="logits")


def test_any_given_network_gets_centres_in_place_of_its_own_classifier(
    people: Splits, embedder: Path, tmp_path: Path
) -> None:
    """A file with a classifier for other classes, and a module that returns its embedding."""
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 5))
    for teacher in (
        {"model": module, "head_path": "none", "centres": True},
        {"model": nn.Sequential(nn.Flatten(), nn.Linear(64, 5), nn.Linear(5, 9)), "centres": True},
    ):
        checked(**asked(people, embedder, tmp_path, teacher=teacher, method="kd"))


def test_files_of_this_task_and_files_without_a_classifier_are_read_or_told(
    people: Splits, embedder: Path, tmp_path: Path
) -> None:
    """A teacher of another run of the task has its classifier, of the scale of this one."""
    job = checked(**asked(people, embedder, tmp_path, method="embedding_kd"))
    file, trained = tmp_path / "student.safetensors", job.student.make(3)
    save_file(trained.state_dict(), file)
    given = {"model": "resnet8w4", "weights": file}
    job = checked(**asked(people, embedder, tmp_path, teacher=given, method="th_kd"))
    assert job.teacher is not None
    again = job.teacher.make(0)
    assert torch.equal(again.get_submodule("fc").weight, trained.get_submodule("fc").weight)
    assert again.get_submodule("fc").scale == 16.0
    bare = {"model": NAME, "weights": embedder, "input": {"pad": PAD}}
    told = r"1 missing \(fc.weight\).*All but its classifier \(fc\) fits: say head_path: none"
    with pytest.raises(WeightsError, match=told):
        checked(**asked(people, embedder, tmp_path, teacher=bare))
    save_file({**load_file(embedder), "fc.weight": torch.randn(4, WIDTH)}, file)
    job = checked(**asked(people, embedder, tmp_path, teacher={**bare, "weights": file}))
    assert job.teacher is not None
    assert job.teacher.make(0).get_submodule("fc").scale == 16.0
