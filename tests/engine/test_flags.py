"""Frozen stays frozen, learners train, and users get their models back as they were."""

import copy

import pytest
import torch
from tiny import tiny_net
from torch import Tensor, nn

from stillhouse.data.batches import Batches
from stillhouse.engine.evaluate import evaluate
from stillhouse.engine.fit import fit
from stillhouse.engine.flags import Flags, Frozen, LearningParameters
from stillhouse.engine.nodes import Bridge, Role
from stillhouse.engine.observer import NullObserver
from stillhouse.engine.platform import Platform
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.terms import Term
from stillhouse.engine.trainer import Settings, training
from stillhouse.functional import cross_entropy
from stillhouse.methods import kd, th_kd


class Watching(NullObserver):
    """Calls a function after each step."""

    def __init__(self, look) -> None:
        self.look = look
        self.steps = 0

    def step(self, images: int) -> None:
        self.steps += 1
        self.look(self.steps)


def same(mine: nn.Module, theirs: nn.Module) -> bool:
    pairs = zip(mine.state_dict().values(), theirs.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("method", [kd, th_kd])
def test_a_teacher_switched_to_train_in_the_middle_changes_nothing(
    method, train: Batches, platform: Platform
) -> None:
    """Batch norm statistics and dropout of a teacher are those of evaluation, whatever happens."""
    teacher = tiny_net(4, 2, dropout=0.5)
    before = copy.deepcopy(teacher)
    quiet, meddled = tiny_net(4, 1), tiny_net(4, 1)
    settings = Settings(epochs=2, seed=1)
    fit(method(quiet, teacher), train, settings=settings, platform=platform)
    fit(
        method(meddled, teacher),
        train,
        settings=settings,
        platform=platform,
        validation=train,
        observer=Watching(lambda step: (teacher.bn if step % 2 else teacher).train()),
    )
    assert same(quiet, meddled)
    assert same(teacher, before)


def test_frozen_modules_are_brought_back_to_eval_mode() -> None:
    net = tiny_net(dropout=0.5)
    frozen = Frozen([net])
    frozen.freeze()
    assert not any(part.training for part in net.modules())
    assert not any(p.requires_grad for p in net.parameters())
    net.train()
    frozen.keep()
    assert not any(part.training for part in net.modules())


def test_learners_train_in_train_mode_in_every_epoch(train: Batches, platform: Platform) -> None:
    """A peer left the student in eval mode after its first validation."""
    student, teacher = tiny_net(4, 1, dropout=0.5), tiny_net(4, 2)
    student.eval()
    modes: list[tuple[bool, bool]] = []
    student.fc.register_forward_hook(
        lambda *_: modes.append((torch.is_grad_enabled(), student.training and student.bn.training))
    )
    fit(
        kd(student, teacher),
        train,
        settings=Settings(epochs=3),
        platform=platform,
        validation=train,
    )
    look_ahead = 1
    steps = 3 * len(train)
    assert modes.count((True, True)) == look_ahead + steps, "with autograd, in train mode"
    assert {mode for mode in modes if not mode[0]} == {(False, False)}, "all else in eval mode"
    assert not student.training, "and back to what the user had"


def test_a_validation_leaves_all_modes_as_they_were(train: Batches, platform: Platform) -> None:
    student, teacher = tiny_net(4, 1), tiny_net(4, 2)
    stage = th_kd(student, teacher)
    with training(stage, train, Settings(), platform) as trainer:
        student.bn.eval()
        before = [part.training for net in (student, teacher) for part in net.modules()]
        evaluate(trainer.objective, train, platform)
        assert before == [part.training for net in (student, teacher) for part in net.modules()]
        assert any(before)
        assert not all(before)


def test_a_teacher_collects_no_gradients(train: Batches, platform: Platform) -> None:
    """Not even its head, through which the student's gradients flow."""
    student, teacher = tiny_net(4, 1), tiny_net(4, 2)
    heard: list[bool] = []
    teacher.register_forward_hook(lambda *_: heard.append(torch.is_grad_enabled()))
    collected: list[bool] = []
    teacher.fc.register_full_backward_hook(lambda *_: collected.append(True))

    def look(_: int) -> None:
        assert all(p.grad is None and not p.requires_grad for p in teacher.parameters())

    fit(
        th_kd(student, teacher),
        train,
        settings=Settings(epochs=1),
        platform=platform,
        observer=Watching(look),
    )
    assert len(collected) == len(train), "gradients went through the teacher's head"
    assert heard.count(True) == 0
    assert all(p.grad is None for p in teacher.parameters())


def flags_of(*nets: nn.Module) -> list[object]:
    return [
        *(part.training for net in nets for part in net.modules()),
        *(p.requires_grad for net in nets for p in net.parameters()),
        *(len(part._forward_hooks) for net in nets for part in net.modules()),
        *(len(part._forward_pre_hooks) for net in nets for part in net.modules()),
    ]


def mixed_flags() -> tuple[nn.Module, nn.Module]:
    student, teacher = tiny_net(4, 1), tiny_net(4, 2)
    student.conv.requires_grad_(False)
    student.bn.eval()
    teacher.eval().fc.train()
    teacher.bn.weight.requires_grad_(False)
    return student, teacher


def test_flags_come_back_after_success(train: Batches, platform: Platform) -> None:
    student, teacher = mixed_flags()
    before, frozen = flags_of(student, teacher), student.conv.weight.clone()
    fit(
        th_kd(student, teacher),
        train,
        settings=Settings(epochs=1),
        platform=platform,
        validation=train,
    )
    assert flags_of(student, teacher) == before
    assert torch.equal(student.conv.weight, frozen), "what the user froze does not learn"


@pytest.mark.parametrize("step", [1, 7])
def test_flags_come_back_after_an_exception_in_the_middle(
    step: int, train: Batches, platform: Platform
) -> None:
    student, teacher = mixed_flags()
    before, weights = flags_of(student, teacher), copy.deepcopy(teacher)

    def stop(now: int) -> None:
        assert flags_of(student, teacher) != before
        if now == step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(
            th_kd(student, teacher),
            train,
            settings=Settings(epochs=2),
            platform=platform,
            validation=train,
            observer=Watching(stop),
        )
    assert flags_of(student, teacher) == before
    assert same(teacher, weights)


def test_flags_come_back_when_a_model_fails_in_a_step(train: Batches, platform: Platform) -> None:
    class Failing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.runs = nn.Linear(192, 3), 0

        def forward(self, image: Tensor) -> Tensor:
            self.runs += 1
            if self.runs == 5:  # after two looks ahead
                raise RuntimeError("broken in step 3")
            return self.fc(image.flatten(1))

    student, teacher = Failing().eval(), tiny_net(4, 2)
    before = flags_of(student, teacher)
    with pytest.raises(RuntimeError, match="broken in step 3"):
        fit(kd(student, teacher), train, settings=Settings(epochs=1), platform=platform)
    assert flags_of(student, teacher) == before


def test_flags_and_hooks_of_losses_come_back(train: Batches, platform: Platform) -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))

        def forward(self, scores: Tensor, label: Tensor) -> Tensor:
            return cross_entropy(scores * self.scale, label)

    loss = Scaled().requires_grad_(False)
    term = Term("label", loss, ["student.logits", "batch.label"])
    stage = Stage("s", [Role("student", tiny_net())], [Update("student", [term])])
    fit(stage, train, settings=Settings(epochs=1), platform=platform)
    assert not loss.scale.requires_grad
    assert loss.scale == 1, "the user froze it"


def test_a_bridge_that_nobody_trains_is_frozen(train: Batches, platform: Platform) -> None:
    """A random projection of the student: gradients go through, its weights stay."""
    projection = nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.5), nn.BatchNorm1d(3))
    before = copy.deepcopy(projection)
    bridge = Bridge("projected", projection, "student.embedding")
    term = Term("label", cross_entropy, ["projected", "batch.label"])
    student = tiny_net()
    weights = copy.deepcopy(student)
    stage = Stage("s", [Role("student", student), bridge], [Update("student", [term])])
    fit(stage, train, settings=Settings(epochs=1), platform=platform)
    assert same(projection, before)
    assert projection.training
    assert not torch.equal(student.conv.weight, weights.conv.weight)
    assert torch.equal(student.fc.weight, weights.fc.weight), "no term reads the student's head"


def test_restoring_leaves_tensors_that_are_no_leaves_alone() -> None:
    layer = nn.Linear(2, 2)
    flags = Flags([layer, layer])
    layer.eval().requires_grad_(False)
    flags.restore()
    assert layer.training
    assert layer.weight.requires_grad


def test_only_players_collect_gradients() -> None:
    one, two = nn.Linear(2, 2), nn.Linear(2, 2)
    two.bias.requires_grad_(False)
    playing = LearningParameters([one, two])
    playing.enter([two])
    assert [p.requires_grad for p in (*one.parameters(), *two.parameters())] == [
        False, False, True, False,
    ]  # fmt: skip
    playing.enter([one, two])
    assert not two.bias.requires_grad, "what the user froze stays frozen"
    assert all(p.requires_grad for p in one.parameters())
