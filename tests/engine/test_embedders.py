"""Several networks that embed: side by side, at one scale, each of the same weight."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from stillhouse.engine.embedders import Embedders
from stillhouse.errors import ModelError
from stillhouse.methods import embedding_kd, rkd
from stillhouse.models import build_model
from stillhouse.representations.standardise import phi_s
from stillhouse.tasks import find_task


class Half(nn.Module):
    """Some columns of the pixels, at a size of their own."""

    embeds = True

    def __init__(self, first: int, last: int, size: float = 1.0) -> None:
        super().__init__()
        self.columns, self.size = slice(first, last), size

    def forward(self, image: Tensor) -> Tensor:
        return image.flatten(1)[:, self.columns] * self.size + 3.0


def fitted(images: Tensor) -> Embedders:
    both = Embedders([Half(0, 4), Half(4, 7, size=100.0)])
    for at, member in enumerate(both.members):
        both.fit(at, phi_s(member(images)))
    return both


def images(rows: int = 50) -> Tensor:
    return torch.randn(rows, 1, 3, 3, generator=torch.Generator().manual_seed(0))


def test_a_squared_difference_is_the_mean_of_that_with_each_standardised_teacher() -> None:
    x, y = images().double().flatten(1).numpy()[:, :4], images().double().flatten(1).numpy()[:, 4:7]
    out = fitted(images())(images())
    assert out["logits"].shape == (50, 7)
    of = np.random.default_rng(0)
    guess = torch.from_numpy(of.normal(size=(50, 7))).float()
    loss = ((guess - out["logits"]) ** 2).mean().item()
    # By hand: each teacher's own loss against y = R (x - mean) / sqrt(trace / d), averaged; what
    # is compared with a block is the guess divided by the factor of that block.
    by_hand = []
    for at, (rows, width, columns) in enumerate(((x, 4, slice(0, 4)), (y, 3, slice(4, 7)))):
        variance = rows.var(0).mean()
        target = out[str(at)].double().numpy()
        distances = np.linalg.norm(rows[:1] - rows, axis=1) / np.sqrt(variance)
        np.testing.assert_allclose(
            np.linalg.norm(target[:1] - target, axis=1), distances, rtol=1e-4
        )
        np.testing.assert_allclose(target.var(0), 1.0, rtol=1e-4)
        own = guess.double().numpy()[:, columns] / np.sqrt(7 / (2 * width))
        by_hand.append(((own - target) ** 2).mean())
    assert loss == pytest.approx(np.mean(by_hand), rel=1e-5)
    # Equal weights: what is wrong by one standard deviation in one teacher alone costs the same.
    blocks = [out["logits"][:, :4], out["logits"][:, 4:]]
    assert [float(block.square().sum(1).mean()) for block in blocks] == pytest.approx([3.5, 3.5])


def test_what_is_before_the_head_counts_and_any_method_of_embeddings_takes_it() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        student, one, two = (
            build_model(f"convnet-4-{width}", classes=3, channels=1) for width in (4, 8, 6)
        )
    both = Embedders([one, nn.Sequential(nn.Identity(), two)], [None, "1.fc"]).eval()
    student.fc, student.embeds = nn.Identity(), True  # type: ignore[assignment]
    batch = torch.randn(8, 1, 8, 8)
    heard: list[Tensor] = []
    handle = two.fc.register_forward_pre_hook(lambda _, given: heard.append(given[0]))
    out = both(batch)
    handle.remove()
    assert torch.equal(out["1"], heard[0])
    for stage in (embedding_kd(student, both, kd_weight=0, distance="l2"), rkd(student, both)):
        with stage.open(batch, task=find_task("embedding")) as objective:
            for update in objective.updates:
                update(batch).loss.backward()
    with embedding_kd(student, both, kd_weight=0).open(
        batch, task=find_task("embedding")
    ) as opened:
        (bridge,) = [node.module for node in opened.stage.nodes if node.name == "matched"]
    assert isinstance(bridge, nn.Module)
    assert {tuple(p.shape) for p in bridge.parameters() if p.ndim == 2} == {(14, 4)}


def test_its_scale_is_among_its_weights_and_maps_are_refused() -> None:
    both = fitted(images())
    state = both.state_dict()
    assert {"scales.0.mean", "scales.1.rotation"} <= set(state)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(both(images())["1"], fitted(images())(images())["1"]), "in float32"

    class Tokens(Half):
        def forward(self, image: Tensor) -> Tensor:
            return image.flatten(2)

    with pytest.raises(ModelError, match=r"teacher 2: its embedding is \[50, 1, 9\]"):
        Embedders([Half(0, 4), Tokens(0, 4)])(images())
