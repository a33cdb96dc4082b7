"""Neighbours against naive loops and against scikit-learn."""

import math

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors
from torch import Tensor

from stillhouse.errors import DataError
from stillhouse.representations import neighbours
from stillhouse.representations.neighbours import (
    chance_of_overlap,
    neighbour_overlap,
    neighbour_votes,
)


def features(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_the_overlap_equals_a_loop_over_the_neighbours_of_scikit_learn() -> None:
    a, b = features(40, 5), features(40, 9, seed=1)
    near = []
    for x in (a, b):
        of = NearestNeighbors(n_neighbors=4, metric="cosine").fit(x.numpy())
        near.append(of.kneighbors(x.numpy())[1][:, 1:])  # the first is the row itself
    wanted = [len(set(x) & set(y)) / 3 for x, y in zip(*near, strict=True)]
    assert neighbour_overlap(a, b, k=3).tolist() == pytest.approx(wanted)
    assert 0 < sum(wanted) < 40, "a case that tells something"


def test_rotation_scale_and_width_do_not_change_neighbours_and_a_shift_does() -> None:
    a = features(60, 6)
    turn, _ = torch.linalg.qr(features(6, 6, seed=1))
    wider = torch.cat([7.0 * a @ turn, torch.zeros(60, 3)], dim=1)
    assert neighbour_overlap(a, wider).mean() == 1.0
    assert neighbour_overlap(a, a + 5.0).mean() < 0.9


def test_spaces_that_have_nothing_to_do_with_each_other_overlap_by_chance() -> None:
    found = neighbour_overlap(features(800, 8), features(800, 8, seed=1)).mean().item()
    assert found == pytest.approx(chance_of_overlap(800), abs=0.005)


def test_blocks_of_rows_give_what_one_matrix_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = features(30, 4), features(30, 3, seed=1)
    labels = torch.arange(30) % 4
    whole = neighbour_overlap(a, b), neighbour_votes(b, b.flip(0), labels)
    monkeypatch.setattr(neighbours, "BLOCK_VALUES", 70)
    assert torch.equal(neighbour_overlap(a, b), whole[0])
    assert torch.allclose(neighbour_votes(b, b.flip(0), labels), whole[1], atol=1e-12)


def test_equal_cosines_go_by_row() -> None:
    same = torch.ones(5, 2)
    assert neighbour_overlap(same, same, k=2).tolist() == [1.0] * 5


def test_votes_are_those_of_scikit_learn_with_the_weights_of_dinov2() -> None:
    known, labels, asked = features(50, 6), torch.arange(50) % 3, features(20, 6, seed=1)
    unit = [x.numpy() / np.linalg.norm(x.numpy(), axis=1, keepdims=True) for x in (known, asked)]

    def weights(distances: np.ndarray) -> np.ndarray:
        return np.exp((1.0 - distances**2 / 2.0) / 0.07)  # of rows of length 1

    theirs = KNeighborsClassifier(7, weights=weights).fit(unit[0], labels.numpy())
    wanted = theirs.predict_proba(unit[1])
    found = neighbour_votes(asked, known, labels, k=7)
    assert found.numpy() == pytest.approx(wanted, abs=1e-5)
    assert found.sum(1).tolist() == pytest.approx([1.0] * 20)


def test_all_known_rows_vote_where_there_are_fewer_than_k() -> None:
    known, labels = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 1])
    (votes,) = neighbour_votes(torch.tensor([[1.0, 1.0]]), known, labels, k=20).tolist()
    assert votes == pytest.approx([0.5, 0.5])


@pytest.mark.parametrize(
    ("a", "b", "k", "said"),
    [
        (features(4, 2), features(5, 2), 1, "4 rows and of 5"),
        (features(4, 2), features(4, 2), 4, "give more than 4 rows"),
        (features(4, 2), torch.full((4, 2), math.nan), 1, "row 0 holds nan"),
    ],
)
def test_what_has_no_neighbours_is_refused(a: Tensor, b: Tensor, k: int, said: str) -> None:
    with pytest.raises(DataError, match=said):
        neighbour_overlap(a, b, k=k)


def test_votes_of_rows_without_a_label_are_refused() -> None:
    with pytest.raises(DataError, match="one label each"):
        neighbour_votes(features(2, 2), features(3, 2), torch.tensor([0, 1]))
    with pytest.raises(DataError, match="width"):
        neighbour_votes(features(2, 3), features(2, 2), torch.tensor([0, 1]))
