"""Verification: its numbers, its loss, and a whole run on people that nobody was trained on."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_curve
from torch import nn
from torch.nn import functional as F

import stillhouse as sh
from stillhouse.data.augment import Augment
from stillhouse.data.load import Splits, load
from stillhouse.data.samples import mean_std_of
from stillhouse.data.tables import ImageTable
from stillhouse.engine.answers import RowAnswers
from stillhouse.engine.evaluate import RunningScores
from stillhouse.engine.nodes import Role
from stillhouse.engine.platform import open_platform
from stillhouse.errors import RecipeError, WiringError
from stillhouse.methods import embedding_kd, kd, plain, th_kd
from stillhouse.models.cosine_head import CosineHead
from stillhouse.tasks import Verification
from stillhouse.verification.pairs import Pairs, all_pairs

pytestmark = pytest.mark.programs


def _by_hand(z: np.ndarray, who: list[int]) -> dict[str, float]:
    """EER and AUC of all pairs in a plain loop, TAR at FAR 0.1 by sorting."""
    same, other = [], []
    for a in range(len(z)):
        for b in range(a + 1, len(z)):
            cosine = float(z[a] @ z[b] / np.linalg.norm(z[a]) / np.linalg.norm(z[b]))
            (same if who[a] == who[b] else other).append(cosine)
    auc = np.mean([(s > o) + 0.5 * (s == o) for s in same for o in other])
    allowed = math.floor(0.1 * len(other))
    threshold = sorted(other, reverse=True)[allowed]
    return {"AUC": float(auc), "TAR at FAR 0.1": float(np.mean([s > threshold for s in same]))}


def test_a_table_is_measured_as_a_plain_loop_measures_it_whatever_the_batches() -> None:
    generator = np.random.default_rng(3)
    who = [0, 0, 0, 1, 1, 2, 2, 2, 3, 4]
    z = generator.normal(size=(10, 4)) + np.eye(5)[who][:, :4] * 2
    task, platform = Verification(), open_platform(device="cpu")
    scores = RunningScores(task, platform, RowAnswers(task, platform, len(who)))
    for rows in (slice(0, 3), slice(3, 10)):
        scores.add(torch.tensor(z[rows], dtype=torch.float32), torch.tensor(who[rows]))
    found = scores.compute()
    for name, value in _by_hand(z.astype(np.float32).astype(np.float64), who).items():
        assert found[name] == pytest.approx(value, abs=1e-9)
    assert "TAR at FAR 0.001" not in found  # fewer than 1,000 different pairs cannot show it
    assert "accuracy" not in found  # no folds


def test_pairs_of_a_list_are_compared_and_no_others() -> None:
    z = torch.tensor([[1.0, 0], [1, 0.1], [0, 1], [0.1, 1]])
    pairs = Pairs(np.array([0, 2, 0, 1]), np.array([1, 3, 2, 3]),
                  np.array([True, True, False, False]), np.array([1, 2, 1, 2]))  # fmt: skip
    found = Verification(metric="accuracy").of_table({"embedding": z, "label": None}, pairs)
    assert found == {"EER": 0.0, "AUC": 1.0, "accuracy": 1.0}


@pytest.mark.parametrize(("margin", "size"), [("arcface", 0.5), ("cosface", 0.35), ("none", 0.0)])
def test_the_labelled_term_is_the_margin_softmax_of_the_heads_cosines(
    margin: str, size: float
) -> None:
    torch.manual_seed(0)
    head = CosineHead(6, 5, scale=16.0)
    z, y = torch.randn(7, 6), torch.randint(0, 5, (7,))
    found = Verification(margin=margin, scale=16.0).loss(head(z), y).detach()
    cosine = (F.normalize(z.double()) @ F.normalize(head.weight.detach().double()).T).clamp(-1, 1)
    for row in range(7):
        own = cosine[row, y[row]]
        moved = torch.cos(torch.acos(own) + size) if margin == "arcface" else own - size
        logits = cosine[row].clone()
        logits[y[row]] = moved
        wanted = -torch.log_softmax(16.0 * logits, 0)[y[row]]
        assert float(found[row]) == pytest.approx(float(wanted), abs=1e-5)


def _net() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 6), nn.ReLU(), nn.Linear(6, 3))


def test_a_stage_measures_the_embedding_and_drops_what_has_none() -> None:
    task = Verification()
    assert plain(_net()).with_task(task).measures == {"student": "student.embedding"}
    stage = th_kd(_net(), _net()).with_task(task)
    assert stage.measures == {"own head": "student.embedding"}
    assert not stage.products
    with pytest.raises(WiringError, match="scores the embedding of a network"):
        sh.methods.simkd(_net(), _net()).with_task(task)


def test_a_teacher_without_a_classifier_gives_its_embedding_and_no_logits() -> None:
    embedder = nn.Sequential(nn.Flatten(), nn.Linear(16, 6))
    role = Role("teacher", embedder, head="none")
    images, labels = torch.randn(8, 1, 4, 4), torch.tensor([0, 1, 2, 0, 1, 2, 0, 1])
    stage = embedding_kd(_net(), role, kd_weight=0.0, distance="l2")
    with stage.open(images, labels) as objective:
        out = objective(images, labels)
    wanted = ((objective.stage.role("student").module[:3](images) - embedder(images)) ** 2).mean()
    assert out.terms["embedding"].item() == pytest.approx(wanted.item(), rel=1e-5)
    with pytest.raises(WiringError, match=r"has no classes \(head: none\), and 'teacher.logits'"):
        kd(_net(), role).open(images, labels)


def test_settings_that_cannot_be_are_told_at_once() -> None:
    with pytest.raises(RecipeError) as error:
        Verification(metric="err", margin="arc", scale=0.0, size=4.0)
    assert len(error.value.problems) == 4


def people(classes: list[int], images: torch.Tensor, labels: torch.Tensor) -> ImageTable:
    chosen = torch.isin(labels, torch.tensor(classes))
    return ImageTable(images[chosen][:120], labels[chosen][:120])


def test_a_run_is_judged_on_people_that_nobody_was_trained_on(tmp_path) -> None:
    whole = load("digits").train
    images, labels = whole.images, whole.labels
    tables = [people(which, images, labels) for which in ([0, 1, 2, 3], [4, 5], [6, 7])]
    names = tuple("01234567")
    pairs = {part: all_pairs(table.labels) for part, table in
             zip(("validation", "test"), tables[1:], strict=True)}  # fmt: skip
    splits = Splits("people", *tables, names[:4], "people-1", people=names, pairs=pairs)
    made = sh.distill(
        data=splits, student="resnet8", teacher="resnet8", out=tmp_path / "run", epochs=1, seeds=1,
        method="th_kd", task={"name": "verification", "margin": "cosface", "mirrored": True},
        precision="fp32", batch=32,
    )  # fmt: skip
    student = made.student
    assert isinstance(student.fc, CosineHead)
    assert student.fc.scale == 32.0
    (model,) = [each for each in made.scores["models"] if each["role"] == "student"]
    mean, std = mean_std_of(tables[0])
    shown = Augment(mean, std)(tables[2].images)
    read = {}
    student.fc.register_forward_hook(lambda _m, given, _o: read.update(z=given[0]))
    with torch.no_grad():
        student.eval()(shown)
        z = read["z"]
        student(shown.flip(-1))
        z = (z + read["z"]).double().numpy()
    unit = z / np.linalg.norm(z, axis=1, keepdims=True)
    first, second = np.triu_indices(len(z), 1)
    cosine, who = (unit @ unit.T)[first, second], tables[2].labels.numpy()
    fpr, tpr, _ = roc_curve(who[first] == who[second], cosine)
    gap = fpr - (1 - tpr)
    after = int((gap >= 0).argmax())
    share = gap[after - 1] / (gap[after - 1] - gap[after])
    wanted = fpr[after - 1] + share * (fpr[after] - fpr[after - 1])
    assert model["runs"][0]["test"]["last"] == pytest.approx(wanted, abs=2e-3)
    home = sh.load(tmp_path / "run").predict([image.numpy() for image in tables[2].images[:9]])
    assert np.allclose(np.stack([each.output.numpy() for each in home]), unit[:9], atol=1e-4)
