import torch

from stillhouse.synthesis.bridges import RandomShift


def test_shifting_moves_pixels_and_loses_none() -> None:
    torch.manual_seed(0)
    image = torch.arange(32.0).view(1, 1, 4, 8)
    seen = {tuple(RandomShift(0.5)(image).flatten().tolist()) for _ in range(40)}
    assert len(seen) > 10
    assert all(sorted(one) == sorted(image.flatten().tolist()) for one in seen)
    assert torch.equal(RandomShift(0.0, flip=False)(image), image)
