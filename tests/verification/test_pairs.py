"""Which images are compared, and how alike they are: against loops over images."""

import math

import numpy as np
import pytest
import torch

from stillhouse.errors import DataError
from stillhouse.verification import pairs as room
from stillhouse.verification.pairs import Pairs, all_pairs, flip_sum, pair_cosines


def test_all_pairs_are_each_two_images_once() -> None:
    person = [3, 1, 3, 2, 1]
    found = all_pairs(person)
    wanted = [(i, j, person[i] == person[j]) for i in range(5) for j in range(i + 1, 5)]
    assert [*zip(found.first, found.second, found.same, strict=True)] == wanted


@pytest.mark.parametrize("chunk", [room.CHUNK, 12])
def test_cosines_of_pairs_equal_the_loop(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "CHUNK", chunk)
    embedding = 3 * torch.randn(7, 4, generator=torch.Generator().manual_seed(0))
    pairs = all_pairs([0, 0, 1, 1, 2, 2, 2])
    found = pair_cosines(embedding, pairs)
    rows = embedding.tolist()
    for value, i, j in zip(found, pairs.first, pairs.second, strict=True):
        dot = math.fsum(a * b for a, b in zip(rows[i], rows[j], strict=True))
        assert value == pytest.approx(dot / math.hypot(*rows[i]) / math.hypot(*rows[j]), abs=1e-12)


def test_the_mirrored_image_is_added_before_the_length_is_one() -> None:
    z, mirrored = np.array([[3.0, 0.0], [0.0, 1.0]]), np.array([[0.0, 4.0], [0.0, 1.0]])
    pair = Pairs(np.array([0]), np.array([1]), np.array([True]))
    assert pair_cosines(flip_sum(z, mirrored), pair)[0] == pytest.approx(0.8)


def test_what_cannot_be_compared_is_refused() -> None:
    pair = Pairs(np.array([0]), np.array([1]), np.array([True]))
    for value in (math.nan, math.inf):
        with pytest.raises(DataError, match=r"the embedding of image 1 .*\(1 of 2 images\)"):
            pair_cosines([[1.0, 0.0], [value, 0.0]], pair)
    with pytest.raises(DataError, match=r"the embedding of image 0 is 0 everywhere"):
        pair_cosines([[0.0, 0.0], [1.0, 0.0]], pair)
    with pytest.raises(DataError, match=r"pair 0 names image 1; there are 1 images"):
        pair_cosines([[1.0, 0.0]], pair)
    with pytest.raises(DataError, match=r"embeddings are \[2\]"):
        pair_cosines([1.0, 0.0], pair)
    with pytest.raises(DataError, match=r"\[1, 2\] and those of mirrored images \[2, 2\]"):
        flip_sum([[1.0, 0.0]], [[1.0, 0.0], [1.0, 0.0]])
    for person, missing in ([0, 1, 2], "has two"), ([4, 4], "all are of one"):
        with pytest.raises(DataError, match=missing):
            all_pairs(person)
