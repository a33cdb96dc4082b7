"""A term from which no gradient comes to whom it is to teach is refused; looking moves no bit."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tiny import tiny_net
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, TensorDataset

import stillhouse as sh
from stillhouse.engine import objective as opening
from stillhouse.engine.nodes import Bridge, Role
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.terms import Term, ramp
from stillhouse.errors import WiringError
from stillhouse.functional import cross_entropy

IMAGES = torch.randn(9, 3, 6, 6, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(9) % 3
LABEL = Term("label", cross_entropy, ["student.logits", "batch.label"])


class Net(nn.Module):
    """Two convolutions; how the second one runs is given."""

    def __init__(self, run: Callable[..., Tensor] = lambda block, x: block(x)) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.stem, self.block = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)
        self.fc, self.run = nn.Linear(4, 3), run

    def forward(self, image: Tensor) -> Tensor:
        """Logits [B, 3]."""
        x = self.run(self.block, self.stem(image))
        return self.fc(x.mean((2, 3)))  # type: ignore[no-any-return]


class Inner(nn.Module):
    """The convolution that is tapped, within a block that is checkpointed as a whole."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Conv2d(4, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        """A map."""
        return self.inner(x).relu()


def checkpointed(*, reentrant: bool) -> Net:
    """A network whose tap ``block.inner`` lies inside a checkpoint."""

    def run(block: nn.Module, x: Tensor) -> Tensor:
        if not torch.is_grad_enabled():  # as libraries do: there is nothing to save memory for
            return block(x)  # type: ignore[no-any-return]
        return checkpoint(block, x, use_reentrant=reentrant)  # type: ignore[no-any-return]

    net = Net(run)
    net.block = Inner()
    return net


def mimicking(
    net: nn.Module, tap: str, *, weight: Any = 1.0, bridge: Callable[..., Tensor] | None = None
) -> Stage:
    """The labels, and a hint at a tap; through a bridge, if any."""
    read = f"student.{tap}" if bridge is None else "bridge"
    nodes = [Role("student", net)]
    nodes += [] if bridge is None else [Bridge("bridge", bridge, f"student.{tap}")]
    learns = ["student", "bridge"] if isinstance(bridge, nn.Module) else "student"
    hint = Term("hint", lambda x: x.square().flatten(1).mean(1), [read], weight=weight)
    return Stage("s", nodes, [Update(learns, [LABEL, hint])])


def weights_after(stage: Stage) -> Tensor:
    """The weights of the student after an epoch."""
    fitted = sh.fit(stage, TensorDataset(IMAGES, LABELS), epochs=1, batch_size=3)
    return torch.cat([value.flatten() for value in fitted.last["student"].values()])


def test_what_is_refused_trains_to_the_same_bits_at_any_weight(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The independent truth: without the check, a tap in a reentrant checkpoint changes nothing."""
    with pytest.raises(WiringError, match=r"term 'hint' reaches the student.*use_reentrant=True"):
        mimicking(checkpointed(reentrant=True), "block.inner").open(IMAGES, LABELS)
    ends = {}
    with monkeypatch.context() as without:
        without.setattr(opening, "check_teaching", lambda *_, **__: None)
        for reentrant in (True, False):
            ends[reentrant] = [
                weights_after(mimicking(checkpointed(reentrant=reentrant), "block.inner", weight=w))
                for w in (0.0, 5.0)
            ]
    assert torch.equal(*ends[True])
    assert not torch.equal(*ends[False])
    mimicking(checkpointed(reentrant=False), "block.inner").open(IMAGES, LABELS).close()


class Cut(torch.autograd.Function):
    """Gives its input, and no gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """The input."""
        return x.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> None:  # type: ignore[override]
        """Nothing."""
        return


class Straight(Cut):
    """Gives its input, and its gradient."""

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        """The gradient."""
        return gradient


class Detached(nn.Conv2d):
    """A projector that detaches what it reads: it learns, and nobody before it."""

    def forward(self, x: Tensor) -> Tensor:
        """A map."""
        return super().forward(x.detach())


def without_gradients(block: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        return block(x)  # type: ignore[no-any-return]


def only_in_training(block: nn.Module, x: Tensor) -> Tensor:
    return block(x).detach() if block.training else block(x)


def changed_in_place(block: nn.Module, x: Tensor) -> Tensor:
    return F.dropout(block(x), 0.5, block.training, inplace=True)


def frozen(path: str) -> Net:
    net = Net()
    net.get_submodule(path).requires_grad_(False)
    return net


def half_frozen() -> Net:
    net = frozen("stem")
    net.block.requires_grad_(False)
    return net


REFUSED = {
    "detached": (lambda: mimicking(Net(only_in_training), "block:in"), None),
    "no_grad": (lambda: mimicking(Net(without_gradients), "block"), "comes out of its network"),
    "train mode": (
        lambda: mimicking(Net(changed_in_place), "block"), "is changed in place after 'block'",
    ),
    "projector": (
        lambda: mimicking(Net(), "block", bridge=Detached(4, 2, 1)),
        "'student.block' has one, but a bridge or the loss",
    ),
    "function": (lambda: mimicking(Net(), "block", bridge=lambda x: x.detach()), "a bridge or"),
    "own backward": (lambda: mimicking(Net(), "block", bridge=Cut.apply), "a bridge or the loss"),
    "frozen": (lambda: mimicking(half_frozen(), "block"), "lies before all that learns"),
    "later": (
        lambda: mimicking(Net(without_gradients), "block", weight=ramp(1.0, epochs=2)), "reaches",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", [case for case, (_, said) in REFUSED.items() if said])
def test_a_term_that_teaches_nobody_is_refused(case: str) -> None:
    make, said = REFUSED[case]
    stage = make()
    student = stage.role("student").module
    with pytest.raises(WiringError, match=said):
        stage.open(IMAGES, LABELS)
    assert student.block.weight.requires_grad or "frozen" in case
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in student.modules())


FLAT = {
    "round": lambda x: (x.round() - 0.3).square().mean(1),
    "sign": lambda x: (x.sign() - 0.3).square().mean(1),
    "clamp": lambda x: x.clamp(max=-1e9).mean(1),
    "times 0": lambda x: (0 * x - 1).square().mean(1),
}


@pytest.mark.parametrize("case", FLAT)
def test_a_loss_that_is_flat_is_refused_and_one_that_is_met_is_not(case: str) -> None:
    def stage(loss: Any) -> Stage:
        terms = [LABEL, Term("flat", loss, ["student.logits"])]
        return Stage("s", [Role("student", Net())], [Update("student", terms)])

    with pytest.raises(WiringError, match=r"'flat' reaches anybody: its loss is .* and flat at"):
        stage(FLAT[case]).open(IMAGES, LABELS)
    stage(lambda x: F.relu(x - 1e9).mean(1)).open(IMAGES, LABELS).close()


ACCEPTED = {
    "zero for ever": lambda: mimicking(Net(without_gradients), "block", weight=0.0),
    "zero at every epoch": lambda: mimicking(
        Net(without_gradients), "block", weight=ramp(0.0, epochs=2)
    ),
    "zero by chance": lambda: mimicking(Net(), "block", bridge=lambda x: F.relu(x - 1e9)),
    "frozen behind": lambda: mimicking(frozen("block"), "block"),
    "straight": lambda: mimicking(Net(), "block", bridge=Straight.apply),
    "around a checkpoint": lambda: mimicking(checkpointed(reentrant=True), "block"),
}  # fmt: skip


@pytest.mark.parametrize("case", ACCEPTED)
def test_a_term_that_may_teach_is_accepted(case: str) -> None:
    ACCEPTED[case]().open(IMAGES, LABELS).close()


class Restless(nn.Module):
    """Whatever a forward in train mode can move: statistics, a count, a codebook, a generator."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.net = tiny_net(4, 1, dropout=0.5)
        self.register_buffer("calls", torch.zeros(()))
        self.codebook = nn.Parameter(torch.zeros(3), requires_grad=False)
        self.drawn = torch.Generator().manual_seed(3)
        self.noise, self.chance = np.random.default_rng(4), random.Random(5)
        self.told = 0

    def get_extra_state(self) -> int:
        """How often it was called in training."""
        return self.told

    def set_extra_state(self, state: int) -> None:
        """Set that."""
        self.told = state

    def forward(self, image: Tensor) -> Tensor:
        """Logits [B, 3]."""
        logits: Tensor = self.net(image)
        if self.training:
            self.told += 1
            self.calls = self.calls + 1  # another tensor under the same name
            own = torch.randn(1, generator=self.drawn) + self.noise.normal() + self.chance.random()
            logits = logits + 0.1 * own + random.random() + float(np.random.rand())
            self.codebook.data.lerp_(logits.detach().mean(0), 0.5)
        return logits + self.codebook.detach()


def states(net: Restless) -> list[Any]:
    """All that decides what comes next."""
    own = [net.drawn.get_state().tolist(), net.noise.bit_generator.state, net.chance.getstate()]
    tensors = {key: getattr(v, "tolist", lambda v=v: v)() for key, v in net.state_dict().items()}
    return [*own, tensors, torch.get_rng_state().tolist(), random.getstate(), np.random.rand()]


def test_a_look_ahead_leaves_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    def trained() -> tuple[dict[str, Any], list[Any]]:
        torch.manual_seed(0), random.seed(0), np.random.seed(0)
        student, teacher = Restless(), tiny_net(4, 2)
        with sh.methods.ps_kd(student).open(
            IMAGES, LABELS, index=torch.arange(9), rows=9
        ) as objective:
            remembered = {key: v.clone() for key, v in objective.losses.state_dict().items()}
        after_opening = states(student)
        stage = sh.methods.kd(student, teacher)
        loader = DataLoader(TensorDataset(IMAGES, LABELS), batch_size=3, shuffle=True)
        fitted = sh.fit(stage, loader, epochs=2)
        return {**fitted.last["student"], **remembered}, after_opening

    looked, opened = trained()
    monkeypatch.setattr(opening, "check_teaching", lambda *_, **__: None)
    plain, untried = trained()
    assert opened == untried
    assert looked.keys() == plain.keys()
    for key, value in plain.items():
        assert torch.equal(torch.as_tensor(value), torch.as_tensor(looked[key])), key


def normed() -> nn.Module:
    """A network that ends in a batch norm of vectors."""
    torch.manual_seed(1)
    return nn.Sequential(nn.Flatten(), nn.Linear(108, 4), nn.BatchNorm1d(4), nn.Linear(4, 3))


ONE_ROW = r"node 'student' has a batch norm .* a batch of 1 row, .*drop_last=True"


@pytest.mark.parametrize("batch_size", [1, 4], ids=["each batch", "the last one"])
def test_batch_norm_at_one_row_is_refused_before_anything_is_trained(batch_size: int) -> None:
    stage, data = sh.methods.plain(normed()), TensorDataset(IMAGES, LABELS)
    before = [value.clone() for value in stage.role("student").module.parameters()]
    with pytest.raises(WiringError, match=ONE_ROW):
        sh.fit(stage, DataLoader(data, batch_size=batch_size), epochs=1)
    assert all(map(torch.equal, before, stage.role("student").module.parameters()))
    sh.fit(stage, DataLoader(data, batch_size=4, drop_last=True), epochs=1)


def test_batch_norm_at_one_row_is_told_in_ones_own_loop() -> None:
    with sh.methods.plain(normed()).open(IMAGES, LABELS) as objective:
        with pytest.raises(WiringError, match=ONE_ROW):
            objective(IMAGES[:1], LABELS[:1])
        objective.eval()(IMAGES[:1], LABELS[:1])


def test_a_term_of_pairs_at_one_row_is_refused_before_anything_is_trained() -> None:
    def neighbours(x: Tensor) -> Tensor:
        return (x[1:] - x[:-1]).square().mean(1)

    pairs = Term("pairs", neighbours, ["student.logits"])
    stage = Stage("s", [Role("student", Net())], [Update("student", [LABEL, pairs])])
    with pytest.raises(WiringError, match=r"'pairs' is nan on the last batch .* 1 row; leave it"):
        sh.fit(stage, DataLoader(TensorDataset(IMAGES, LABELS), batch_size=4), epochs=1)


def test_what_one_batch_has_nothing_of_is_looked_for_in_others() -> None:
    """Rows of one class come first, and the loss has no graph where all labels are equal."""

    def between(x: Tensor, label: Tensor) -> Tensor:
        return (
            (x[label == 0].mean(0) - x[label == 2].mean(0)).square() if 2 in label else label * 0.0
        )

    term = Term("between", between, ["student.logits", "batch.label"])
    stage = Stage("s", [Role("student", Net())], [Update("student", [LABEL, term])])
    with pytest.raises(WiringError, match="no gradient of term 'between' reaches the student"):
        stage.open(IMAGES[:3], LABELS.sort().values[:3])
    sh.fit(stage, TensorDataset(IMAGES, LABELS.sort().values), epochs=1, batch_size=3)
