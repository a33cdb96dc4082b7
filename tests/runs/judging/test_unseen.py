"""Classes that were held out are measured by the embedding, against scikit-learn on the product."""

from itertools import combinations
from pathlib import Path

import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import nn

import stillhouse as sh
from stillhouse.cli.table import print_scores
from stillhouse.cli.terminal import Terminal

CLASSES = 6


@pytest.fixture
def samples():
    drawn = torch.Generator().manual_seed(0)
    centres = torch.rand(CLASSES, 1, 4, 4, generator=drawn)
    noise = torch.rand(8 * CLASSES, 1, 4, 4, generator=drawn)
    return [(centres[row % CLASSES] + noise[row], row % CLASSES) for row in range(8 * CLASSES)]


def flat(classes: int) -> nn.Module:
    torch.manual_seed(classes)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 6), nn.Tanh(), nn.Linear(6, classes))


def distilled(samples, out: Path, student, method: str = "kd", **more):
    return sh.distill(
        data={"source": samples, "validation": 0, "test": 8, "workers": 0, **more},
        student=student,
        teacher=flat,
        method=method,
        seeds=1,
        epochs=1,
        batch=8,
        precision="fp32",
        out=out,
    )


def test_each_network_is_measured_on_classes_that_it_never_saw(samples, tmp_path: Path):
    outcome = distilled(samples, tmp_path / "run", flat, "th_kd", unseen=["1", "4"])
    (found,) = outcome.scores["figures"]
    assert (found["table"], found["over"], found["count"]) == ("unseen", "classes", 2)
    told = {each["role"]: each["figures"] for each in found["networks"]}
    assert set(told) == {"teacher", "control", "student"}
    assert all(each.keys() == {"EER", "AUC", "TAR at FAR 0.1"} for each in told.values())
    held = [(image, label) for image, label in samples if label in (1, 4)]
    with torch.no_grad():
        embedding = outcome.student[:3](torch.stack([image for image, _ in held]))
    unit = nn.functional.normalize(embedding.double(), dim=1)
    pairs = list(combinations(range(len(held)), 2))
    same = [held[one][1] == held[other][1] for one, other in pairs]
    cosine = [float(unit[one] @ unit[other]) for one, other in pairs]
    auc = told["student"]["AUC"]["value"]
    assert auc == pytest.approx(roc_auc_score(same, cosine), abs=1e-6)
    assert found["gains"]["AUC"]["value"] == pytest.approx(auc - told["control"]["AUC"]["value"])
    alone = "Students are compared by their own embedding alone, not by teacher head, mixture."
    assert found["notes"][-1] == alone
    page = (tmp_path / "run" / "report.html").read_text()
    assert "<h2>Verification of unseen classes</h2>" in page
    assert "<h2>Class by class</h2>" in page, "accuracy stays the headline"
    assert 'data-figure="unseen-figures-0"' in page
    assert any("2 of 6 classes" in each for each in outcome.warnings)
    console = Terminal(record=True, width=200)
    print_scores(console, outcome.scores, outcome.directory)
    assert "EER, % (less is better)" in console.export_text()


def test_a_network_without_an_embedding_is_said_and_nothing_is_measured_where_it_is_off(
    samples, tmp_path: Path
):
    def whole(classes: int) -> nn.Module:
        return nn.Sequential(nn.Conv2d(1, classes, 4), nn.Flatten())

    outcome = distilled(samples, tmp_path / "none", whole, unseen=2)
    (found,) = outcome.scores["figures"]
    assert [each["role"] for each in found["networks"]] == ["teacher"]
    said = [each for each in outcome.warnings if "unseen classes are not measured" in each]
    assert [each.split(":")[0] for each in said] == ["control", "student"]
    off = distilled(samples, tmp_path / "off", flat)
    assert "figures" not in off.scores
