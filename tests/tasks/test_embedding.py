"""The task without labels: what it measures, what a network is under it, which methods fit."""

import pytest
import torch
from torch import Tensor, nn

from stillhouse.errors import RecipeError
from stillhouse.methods import METHODS, find_method
from stillhouse.methods.unlabelled import fitting, labels_and_logits, what_fits
from stillhouse.models import build_model
from stillhouse.representations.likeness import linear_cka, mean_cosine
from stillhouse.representations.neighbours import neighbour_overlap
from stillhouse.tasks import find_task
from stillhouse.tasks.agreement import CKA, COSINE, MOST_ROWS, OVERLAP
from stillhouse.tasks.embedding import Embedding

FIT = {
    "fitnet", "at", "nst", "ab", "ft", "mgd", "ofd", "projector_logsum", "review_kd", "rkd", "sp",
    "pkt", "cc_rbf", "cc_embedded", "crd", "embedding_kd", "vkd", "cwd", "pkd",
}  # fmt: skip
"""By reading each paper's loss: features and relations, neither labels nor soft classes."""


def features(rows: int, width: int, seed: int = 0) -> Tensor:
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed))


def test_agreement_is_that_of_the_pure_functions_and_cosine_only_of_equal_widths() -> None:
    mine, theirs, wide = features(40, 6), features(40, 6, 1), features(40, 9, 2)
    found = Embedding(neighbours=4).of_table({"embedding": mine, "label": theirs}, None)
    assert found[OVERLAP] == neighbour_overlap(mine, theirs, k=4).mean().item()
    assert (found[CKA], found[COSINE]) == (linear_cka(mine, theirs), mean_cosine(mine, theirs))
    other = Embedding(neighbours=4).of_table({"embedding": mine, "label": wide}, None)
    assert set(other) == {OVERLAP, CKA}


def test_of_very_many_rows_some_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stillhouse.tasks.agreement.MOST_ROWS", 20)
    mine, theirs = features(40, 6), features(40, 6, 1)
    every = torch.linspace(0, 39, 20).round().long()
    found = Embedding(neighbours=4).of_table({"embedding": mine, "label": theirs}, None)
    assert found[CKA] == linear_cka(mine[every], theirs[every])
    assert MOST_ROWS == 4096


def test_it_has_no_labelled_term_and_needs_rows_enough() -> None:
    task = find_task("embedding")
    assert (task.labelled, task.headless, task.measured) == (False, True, "embedding")
    with pytest.raises(RecipeError, match="no labels"):
        task.loss(features(2, 2), features(2, 2))
    assert task.rows_problem(21) is None
    assert "21 or more" in str(task.rows_problem(20))
    assert "neighbours: 9" in str(task.rows_problem(20))
    with pytest.raises(RecipeError, match="give 1 or more"):
        Embedding(neighbours=0)


def test_the_methods_that_fit_are_those_that_read_features_and_relations() -> None:
    task = find_task("embedding")
    found = dict(fitting(task))
    assert set(found) == FIT
    assert all(name in what_fits(task) for name in FIT)
    changed = {name for name, settings in found.items() if settings}
    assert changed == {"projector_logsum", "embedding_kd", "vkd"}, "these ask for kd_weight: 0"


@pytest.mark.parametrize("name", sorted(FIT))
def test_what_is_said_to_fit_learns_without_labels_and_logits(name: str) -> None:
    task = find_task("embedding")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        student, teacher = (build_model(f"convnet-4-{w}", classes=3, channels=1) for w in (4, 8))
        images = torch.randn(8, 1, 8, 8)
    student.fc, student.embeds = nn.Identity(), True  # type: ignore[assignment]
    stage = find_method(name).stage(student, teacher, **dict(fitting(task))[name])
    with stage.open(images, index=torch.arange(8), rows=8, task=task) as objective:
        signals = set(objective.wiring.seen)
        for progress in (0.0, 0.25):  # of weights that warm up, and of those that end
            objective.set_progress(progress)
            for update in objective.updates:
                update(images, index=torch.arange(8)).loss.backward()
    assert "batch.label" not in signals
    assert "student.logits" not in signals
    assert any(p.grad is not None and bool(p.grad.any()) for p in student.parameters())


@pytest.mark.parametrize("name", ["fitnet", "at", "mgd"])
def test_tokens_of_a_transformer_learn_the_maps_of_a_convolutional_teacher(name: str) -> None:
    task = find_task("embedding")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        student = build_model("vit-8-2-2", classes=3, channels=1, size=16)
        teacher = build_model("convnet-4-8", classes=3, channels=1)
        images = torch.randn(8, 1, 16, 16)
        student.fc, student.embeds = nn.Identity(), True  # type: ignore[assignment]
        with find_method(name).stage(student, teacher).open(images, task=task) as objective:
            (update,) = objective.updates
            optimizer = torch.optim.Adam(update.parameters(), lr=1e-2)
            losses = []
            for _ in range(12):
                loss = update(images).loss
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
    assert losses[-1] < 0.95 * losses[0]


def test_labels_behind_bridges_are_found() -> None:
    networks = [build_model("convnet-4-4", classes=3, channels=1) for _ in range(2)]
    reads = {
        method.name: labels_and_logits(method.stage(*networks))
        for method in METHODS
        if method.needs_teacher and method.name in ("kd", "th_kd", "dkd", "nkd", "vid")
    }
    assert all(reads.values())
    assert "batch.label" in reads["dkd"]
