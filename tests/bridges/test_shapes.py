"""Features in other shapes."""

import pytest
import torch

from stillhouse.bridges import Connector, as_map, map_shape, resized
from stillhouse.errors import WiringError


def test_tokens_stand_where_their_patches_were() -> None:
    image = torch.arange(2 * 3 * 4 * 4.0).view(2, 3, 4, 4)
    tokens = image.flatten(2).mT
    for extra in (0, 1, 2):
        known = torch.cat([torch.full((2, extra, 3), -1.0), tokens], 1)
        assert torch.equal(as_map(known), image)
        assert map_shape(known.shape) == image.shape
    assert as_map(torch.zeros(2, 7, 3)).shape == (2, 3, 1, 7)
    with pytest.raises(WiringError, match="it has 5 dimensions"):
        as_map(torch.zeros(1, 1, 1, 1, 1))


def test_resizing_averages_down_and_interpolates_up() -> None:
    x = torch.tensor([[[[1.0, 3.0], [5.0, 7.0]]]])
    assert resized(x, (2, 2)) is x
    assert resized(x, (1, 2)).tolist() == [[[[3.0, 5.0]]]]
    assert resized(x, (4, 4)).shape == (1, 1, 4, 4)


@pytest.mark.parametrize("theirs", [(2, 6, 4, 4), (2, 6, 16, 16), (2, 17, 6), (2, 6)])
@pytest.mark.parametrize("mine", [(2, 4, 8, 8), (2, 65, 4), (2, 4)])
def test_any_feature_connects_to_any_other(mine: tuple[int, ...], theirs: tuple[int, ...]) -> None:
    connect = Connector(torch.Size(mine), torch.Size(theirs))
    assert connect(torch.randn(mine)).shape == map_shape(torch.Size(theirs))
