"""Shifts: means over positions, channels in groups, any features."""

import pytest
import torch

from stillhouse.bridges import layer_shift


def test_of_maps_it_is_the_gap_of_their_means_in_pairs_of_channels() -> None:
    made = torch.Generator().manual_seed(0)
    early, late = torch.randn(3, 2, 4, 4, generator=made), torch.randn(3, 4, 2, 2, generator=made)
    found = layer_shift(early, late)
    assert found.shape == (3, 2)
    for b in range(3):
        for c in range(2):
            after = [
                late[b, 2 * c + k, i, j].item() for k in (0, 1) for i in (0, 1) for j in (0, 1)
            ]
            before = [early[b, c, i, j].item() for i in range(4) for j in range(4)]
            wanted = sum(after) / 8 - sum(before) / 16
            assert found[b, c].item() == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("shapes", [((2, 5), (2, 3)), ((2, 9, 6), (2, 6)), ((2, 4, 3, 3), (2, 6))])
def test_any_features_have_a_shift(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    widths = [shape[2] if len(shape) == 3 else shape[1] for shape in shapes]
    early, late = (torch.ones(shape) for shape in shapes)
    assert torch.equal(layer_shift(early, 3.0 * late), torch.full((2, min(widths)), 2.0))
