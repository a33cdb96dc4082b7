"""How alike student and teacher are: of every method, of the control, by hand, and for free."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny import TinyNet, tiny_net
from torch import Tensor, nn

import stillhouse as sh
from stillhouse.methods import kd, plain, projector_logsum
from stillhouse.recipes.data import DataSection
from stillhouse.records.checked import write_checked
from stillhouse.runs.job.data import JobData, open_data
from stillhouse.runs.judging.likeness import Likeness, likeness_to
from stillhouse.students.quantised import quantised


def images(count: int) -> list[tuple[np.ndarray, int]]:
    made = np.random.default_rng(count)
    rows = [(made.integers(0, 60, (8, 8, 3)) + 60 * (i % 3), i % 3) for i in range(count)]
    return [(image.astype(np.uint8), label) for image, label in rows]


@pytest.fixture
def rows(platform) -> JobData:
    section = DataSection(source="given", augment={"crop": 1, "flip": True}, validation=0.5)
    return open_data(section, 16, platform, source=(images(90), images(30)))


def embedding(net: TinyNet, image: Tensor) -> np.ndarray:
    net.eval()
    with torch.no_grad():
        return net.relu(net.bn(net.conv(image))).mean((2, 3)).double().numpy()


def cka(a: np.ndarray, b: np.ndarray) -> float:
    """By Gram matrices, which is another way than the one that is tested."""
    a, b = a - a.mean(0), b - b.mean(0)
    k, m = a @ a.T, b @ b.T
    return (k * m).sum() / np.sqrt((k * k).sum() * (m * m).sum())


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def test_numbers_are_those_of_a_naive_loop(rows: JobData) -> None:
    teacher, student = tiny_net(4, 3), tiny_net(4, 1)
    likeness = likeness_to(plain(teacher), rows)
    shown = likeness.of(plain(student))
    image = torch.cat([batch["batch.image"] for batch in rows.validation.once()])
    assert len(image) > 20
    mine, theirs = embedding(student, image), embedding(teacher, image)
    assert shown["embedding_cka"] == pytest.approx(cka(mine, theirs), rel=1e-5)
    assert shown["embedding_cosine"] == pytest.approx(cosines(mine, theirs).mean(), rel=1e-5)
    heads = [net.fc.weight.detach().double().numpy() for net in (student, teacher)]
    assert shown["head_cosine"] == pytest.approx(cosines(*heads).tolist(), rel=1e-5)


def test_a_teacher_is_like_itself(rows: JobData) -> None:
    teacher = tiny_net(4, 3)
    shown = likeness_to(plain(teacher), rows).of(plain(teacher))
    assert shown["embedding_cka"] == pytest.approx(1.0)
    assert shown["embedding_cosine"] == pytest.approx(1.0)
    assert shown["head_cosine"] == pytest.approx([1.0] * 3)


class Conv(nn.Module):
    """A model without a Linear."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3)

    def forward(self, image: Tensor) -> Tensor:
        return self.conv(image).mean((2, 3))


class Positions(nn.Module):
    """A head at each position: the embedding is no vector."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 3)

    def forward(self, image: Tensor) -> Tensor:
        return self.fc(image.flatten(2).transpose(1, 2)).mean(1)


class Last(TinyNet):
    """Its last Linear is not its head."""

    def __init__(self) -> None:
        super().__init__(4, 0.0)
        self.auxiliary = nn.Linear(4, 3)


def names(student: nn.Module, teacher: nn.Module, rows: JobData) -> list[str]:
    likeness = likeness_to(plain(teacher), rows)
    if likeness is None:
        return []
    of = list(likeness.of(plain(student)))
    with_diagnostics = likeness.with_diagnostics(kd(student, teacher))
    assert [diagnostic.name for diagnostic in with_diagnostics.diagnostics] == of
    return of


def test_only_what_can_be_compared_is_compared(rows: JobData) -> None:
    every = ["embedding_cka", "embedding_cosine", "head_cosine"]
    assert names(tiny_net(4), tiny_net(4), rows) == every
    assert names(tiny_net(4), tiny_net(6), rows) == ["embedding_cka"]
    wide = tiny_net(4)
    wide.fc = nn.Linear(4, 5)
    assert names(tiny_net(4), wide, rows) == ["embedding_cka", "embedding_cosine"]
    for other in (Conv(), Positions(), Last()):
        assert names(tiny_net(4), other, rows) == []
        assert names(other, tiny_net(4), rows) == []


def test_looking_at_a_student_that_rounds_changes_nothing_of_it(rows: JobData) -> None:
    """Its head is run once more by itself; in train mode that would move the range of its input."""
    student = quantised(tiny_net(4, 1), torch.zeros(1, 3, 8, 8)).train()
    before = {key: value.clone() for key, value in student.state_dict().items()}
    likeness = likeness_to(plain(tiny_net(4, 3)), rows)
    watched = likeness.with_diagnostics(plain(student))
    assert "embedding_cka" in [diagnostic.name for diagnostic in watched.diagnostics]
    assert all(torch.equal(value, before[key]) for key, value in student.state_dict().items())
    assert student.training


def test_a_method_keeps_its_own_diagnostics(rows: JobData) -> None:
    likeness = likeness_to(plain(tiny_net(4, 3)), rows)
    stage = projector_logsum(tiny_net(4, 1), tiny_net(6, 2))
    both = likeness.with_diagnostics(stage)
    assert [g.name for g in both.diagnostics][: len(stage.diagnostics)] == [
        g.name for g in stage.diagnostics
    ]
    assert len(both.diagnostics) == len(stage.diagnostics) + 3
    again = likeness.with_diagnostics(both)
    assert [g.name for g in again.diagnostics] == [g.name for g in both.diagnostics]
    assert both.node("projected").module is None  # looking at a student sizes no bridge


def test_without_validation_there_is_nothing_to_compare(platform) -> None:
    section = DataSection(source="given", validation=0.0)
    data = open_data(section, 16, platform, source=(images(30), images(30)))
    assert likeness_to(plain(tiny_net()), data) is None


BUDGET = {
    "epochs": 2, "batch": 16, "seeds": 2, "precision": "fp32",
}  # fmt: skip


def distil(out: Path, **settings):
    return sh.distill(
        data={"source": (images(90), images(30)), "augment": {"crop": 1, "flip": True}},
        teacher=tiny_net(8, 3),
        student=lambda: tiny_net(8, 1),
        out=out,
        **{**BUDGET, **settings},
    )


def diagnostics(outcome, role: str) -> list[dict[str, object]]:
    (model,) = [m for m in outcome.scores["models"] if m["role"] == role]
    return [run.get("diagnostics") for run in model["runs"]]


@pytest.mark.parametrize("method", ["kd", "projector_logsum", "label_smoothing"])
def test_a_run_shows_them_for_student_and_control(tmp_path: Path, method: str) -> None:
    outcome = distil(tmp_path / "run", method=method)
    lines = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    epochs = [line["diagnostics"] for line in lines if line["stage"] == "student"]
    assert len(epochs) == 4
    assert all("diagnostics" not in line for line in lines if line["stage"] != "student")
    assert [epochs[1], epochs[3]] == diagnostics(outcome, "student")
    likes = {"embedding_cka", "embedding_cosine", "head_cosine"}
    for shown in diagnostics(outcome, "control"):
        assert shown.keys() == likes
        assert len(shown["head_cosine"]) == 3
    assert diagnostics(outcome, "teacher") == [None]
    assert likes <= epochs[0].keys()
    assert ("projector_effective_rank" in epochs[0]) == (method == "projector_logsum")


def test_a_student_by_its_weights_has_the_numbers_of_its_last_epoch(
    tmp_path: Path, rows: JobData
) -> None:
    outcome = distil(tmp_path / "run")
    done = tmp_path / "run/trainings/seed0/stage.json"
    before = json.loads(done.read_text())
    old = {**before, "history": [{**line} for line in before["history"]]}
    for line in old["history"]:
        del line["diagnostics"]  # as trained before there were diagnostics
    write_checked(done, old)
    (tmp_path / "run/scores.json").unlink()  # so that it is described again
    again = distil(tmp_path / "run")
    first, second = diagnostics(outcome, "student")[0], diagnostics(again, "student")[0]
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert second[name] == pytest.approx(value, rel=1e-6)


def test_neither_weights_nor_fingerprints_know_of_them(tmp_path: Path, monkeypatch) -> None:
    def trained(folder: str) -> tuple[dict[str, Tensor], str]:
        out = tmp_path / folder / "run"
        distil(out, method="projector_logsum", seeds=1)
        identity = json.loads((out / "trainings/seed0/stage.json").read_text())["identity"]
        return load_file(out / "student.safetensors"), identity

    mine, identity = trained("with")
    monkeypatch.setattr(
        Likeness, "with_diagnostics", lambda _, stage: replace(stage, diagnostics=[])
    )
    theirs, same = trained("without")
    assert identity == same
    assert all(torch.equal(value, theirs[key]) for key, value in mine.items())
    history = json.loads((tmp_path / "without/run/trainings/seed0/stage.json").read_text())[
        "history"
    ]
    assert "diagnostics" not in history[0]
