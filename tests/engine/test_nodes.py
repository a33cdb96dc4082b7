"""Roles, bridges and moving averages, one at a time."""

import pytest
import torch
from tiny import tiny_net
from torch import Tensor, nn

from stillhouse.engine.nodes import Bridge, Ema, Role
from stillhouse.errors import ModelError, WiringError
from stillhouse.models.ensemble import Ensemble

IMAGE = {"batch.image": torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))}


@pytest.mark.parametrize("name", ["a.b", "two words", "", "1st", "a:in"])
def test_a_name_is_one_word(name: str) -> None:
    with pytest.raises(WiringError, match="a word without dots"):
        Role(name, nn.Linear(1, 1))


class Named(nn.Module):
    """Its module 'logits' is not what it returns, and 'embedding' is not what its head reads."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Linear(192, 4)
        self.logits = nn.Linear(4, 3)

    def forward(self, image: Tensor) -> Tensor:
        return 10 * self.logits(torch.relu(self.embedding(image.flatten(1))))


def test_logits_are_what_the_model_returns_whatever_its_modules_are_called() -> None:
    model = Named()
    role = Role("student", model)
    role.open(["logits", "embedding"])
    given = role.run(IMAGE)
    role.close()
    assert torch.equal(given["student.logits"], model(IMAGE["batch.image"]))
    assert torch.equal(given["student.embedding"], torch.relu(model.embedding(flat())))


def flat() -> Tensor:
    return IMAGE["batch.image"].flatten(1)


def test_aliases_come_before_the_usual_meaning() -> None:
    model = Named()
    aliases = {"logits": "logits", "embedding": "embedding", "hint": "logits:in", "bad": "nope"}
    role = Role("student", model, aliases=aliases)
    role.open(["logits", "embedding", "hint"])
    given = role.run(IMAGE)
    role.close()
    assert torch.equal(given["student.embedding"], model.embedding(flat()))
    assert torch.equal(10 * given["student.logits"], model(IMAGE["batch.image"]))
    assert torch.equal(given["student.hint"], torch.relu(given["student.embedding"]))
    assert "no module 'nope'" in str(role.problem("bad"))
    wrong = Role("student", model, aliases={"logits": "lgits"})
    assert "no module 'lgits'; nearest: logits" in str(wrong.problem("logits"))


def test_a_role_reads_several_inputs_in_order() -> None:
    class Minus(nn.Module):
        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            return a - b

    role = Role("difference", Minus(), reads=["x.a", "y"])
    given = role.run({"y": torch.tensor(2.0), "x.a": torch.tensor(5.0)})
    assert given["difference.logits"] == 3


def test_a_model_without_a_linear_needs_a_named_head() -> None:
    with pytest.raises(ModelError, match=r"no Linear inside.*head: PATH"):
        Role("student", nn.Sequential(nn.Flatten())).problem("embedding")


def test_a_convolution_may_be_the_head_and_its_embedding_is_the_mean_over_positions() -> None:
    convolutional = nn.Sequential(nn.Conv2d(3, 5, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    role = Role("student", convolutional)
    assert role.head_module() is convolutional[0]
    assert role.tap_of("embedding") == "0:in"
    image = torch.randn(2, 3, 4, 4)
    role.open(["embedding"])
    given = role.run({"batch.image": image})
    role.close()
    by_hand = image.sum((2, 3)) / 16
    assert torch.allclose(given["student.embedding"], by_hand, atol=1e-6)
    assert torch.allclose(convolutional[0](by_hand[:, :, None, None])[:, :, 0, 0],
                          given["student.logits"], atol=1e-5)  # fmt: skip


@pytest.mark.parametrize("graded", [True, False])
def test_an_image_that_a_network_changes_in_place_is_whole_for_others(graded: bool) -> None:
    class Doubling(nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return image.mul_(2).flatten(1)

    image = torch.ones(2, 1, 1, 2)
    role = Role("teacher", Doubling())
    role.open(["logits"])
    with torch.set_grad_enabled(graded):
        assert role.run({"batch.image": image})["teacher.logits"].tolist() == [[2, 2], [2, 2]]
    role.close()
    assert torch.equal(image, torch.ones(2, 1, 1, 2))
    together = Ensemble([Doubling(), Doubling()])(image)
    assert torch.equal(together["0"], together["1"])


def test_a_bare_linear_is_its_own_head() -> None:
    role = Role("student", nn.Linear(4, 2), reads="x")
    role.open(["embedding"])
    x = torch.ones(1, 4)
    assert torch.equal(role.run({"x": x})["student.embedding"], x)
    role.close()


def test_ema_follows_weights_and_buffers_in_closed_form() -> None:
    of = Role("student", tiny_net(seed=1))
    ema = Ema("mean", of, decay=0.75)
    mine = {name: value.clone() for name, value in ema.module.state_dict().items()}
    assert ema.module is not of.module
    for step in range(3):
        with torch.no_grad():
            for parameter in of.module.parameters():
                parameter.add_(step + 1)
        of.module(IMAGE["batch.image"])  # moves running statistics and counts the batch
        ema.follow()
        for name, value in of.module.state_dict().items():
            mine[name] = 0.75 * mine[name] + 0.25 * value if value.is_floating_point() else value
    for name, value in ema.module.state_dict().items():
        torch.testing.assert_close(value, mine[name].to(value), msg=name)
    assert ema.module.bn.num_batches_tracked == 3


@pytest.mark.parametrize("decay", [-0.1, 1.1])
def test_decay_is_a_share(decay: float) -> None:
    with pytest.raises(WiringError, match=r"0\.\.1"):
        Ema("mean", Role("student", nn.Linear(1, 1)), decay=decay)


def test_a_sized_bridge_is_built_once_from_shapes() -> None:
    built = []

    def build(learner: torch.Size, target: torch.Size) -> nn.Module:
        built.append((tuple(learner), tuple(target)))
        return nn.Linear(learner[1], target[1])

    bridge = Bridge.sized("projected", build, "s.x", by=["s.x", "t.x"])
    assert bridge.module is None
    with pytest.raises(WiringError, match="not sized yet"):
        bridge.run({"s.x": torch.zeros(2, 4)})
    signals = {"s.x": torch.zeros(2, 4), "t.x": torch.zeros(2, 7)}
    bridge.build(signals)
    first = bridge.module
    bridge.build({"s.x": torch.zeros(2, 9), "t.x": torch.zeros(2, 9)})
    assert bridge.module is first
    assert built == [((2, 4), (2, 7))]
    assert bridge.needs == ("s.x",), "what only sized it is not run again"
    assert bridge.run(signals)["projected"].shape == (2, 7)


def test_a_bridge_gives_one_signal() -> None:
    bridge = Bridge("double", lambda x: 2 * x, "batch.image")
    assert bridge.module is None
    assert bridge.problem("") is None
    assert "gives one signal, 'double'" in str(bridge.problem("layer3"))


def test_an_ema_steps_at_the_end_of_each_part_of_the_training() -> None:
    of = Role("student", nn.Linear(1, 1))

    def steps(ema: Ema, *, per_epoch: int, epochs: int) -> list[int]:
        total = per_epoch * epochs
        return [step for step in range(1, total + 1)
                if ema.due((step - 1) / total, step / total, epochs)]  # fmt: skip

    assert steps(Ema("a", of, parts=3), per_epoch=5, epochs=2) == [4, 8]
    assert steps(Ema("a", of, every=2), per_epoch=5, epochs=6) == [10, 20, 30]
    assert steps(Ema("a", of), per_epoch=5, epochs=1) == [1, 2, 3, 4, 5]
    for wrong in ({"parts": 0}, {"parts": 2, "every": 1}):
        with pytest.raises(WiringError, match=r"node 'a'.*parts"):
            Ema("a", of, **wrong)
