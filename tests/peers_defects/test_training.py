"""Defects found by running other toolkits, of modes, gradients and shared state.

What concerns processes, teacher caches and resuming is tried in tests/engine: adapters outside the
data-parallel wrapper whose gradients differ without an error, a bypassed wrapper, a feature loss
that leaves the head unused (test_two_processes.py); teacher outputs that were kept by batch and
served for other crops in epoch 2 (test_replay.py); a resume that forgets random states, the step or
the stage (test_kill_and_resume.py). A projector that no optimiser knows is tried in
tests/methods/test_th_kd.py.
"""

import copy
import itertools
from collections.abc import Mapping
from typing import Any

import torch
from tiny import tiny_net
from torch import Tensor, nn

from stillhouse.data.batches import Batches
from stillhouse.engine.fit import fit
from stillhouse.engine.observer import NullObserver
from stillhouse.engine.platform import Platform
from stillhouse.engine.stage import Stage
from stillhouse.engine.terms import Term
from stillhouse.engine.trainer import Settings, training
from stillhouse.methods import kd, plain


class Watch(NullObserver):
    """Calls a function after each step."""

    def __init__(self, look: Any) -> None:
        self.look = look

    def step(self, images: int) -> None:
        self.look()


def bits(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(mine: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> bool:
    return mine.keys() == theirs.keys() and all(torch.equal(mine[k], theirs[k]) for k in mine)


def test_the_student_trains_in_train_mode_after_a_validation(
    train: Batches, platform: Platform
) -> None:
    """A class-per-method toolkit: eval() in the first validation, and never train() again.

    From epoch 2 on, batch norm stood still and dropout was off.
    """
    student, modes, means = tiny_net(4, 1, dropout=0.5), [], []

    def look() -> None:
        modes.append({part.training for part in student.modules()})
        means.append(student.bn.running_mean.clone())

    fit(
        plain(student),
        train,
        settings=Settings(epochs=3),
        platform=platform,
        validation=train,
        observer=Watch(look),
    )
    assert modes == [{True}] * 15
    moved = [not torch.equal(a, b) for a, b in itertools.pairwise(means)]
    assert all(moved), "batch norm gathers statistics in every epoch"


def test_the_teacher_runs_without_autograd_and_collects_nothing(
    train: Batches, platform: Platform
) -> None:
    """The same toolkit: the teacher ran with autograd, and its parameters collected gradients."""
    teacher, graphs = tiny_net(6, 2), []
    handle = teacher.register_forward_hook(
        lambda _module, _inputs, output: graphs.append((torch.is_grad_enabled(), output.grad_fn))
    )
    fit(kd(tiny_net(4, 1), teacher), train, settings=Settings(epochs=1), platform=platform)
    handle.remove()
    assert set(graphs) == {(False, None)}
    assert all(p.grad is None for p in teacher.parameters())


def test_the_optimiser_holds_no_state_of_the_teacher(train: Batches, platform: Platform) -> None:
    """Trainers for language models: optimiser state was allocated for the teacher too."""
    student, teacher = tiny_net(4, 1), tiny_net(64, 2)
    with training(kd(student, teacher), train, Settings(epochs=1), platform) as trainer:
        held = [p for group in trainer.steppers[0].optimizer.param_groups for p in group["params"]]
        assert {id(p) for p in held} == {id(p) for p in student.parameters()}


def test_all_randomness_of_the_teacher_is_off(train: Batches, platform: Platform) -> None:
    """A config-driven toolbox: only batch norm went to eval mode, dropout of the teacher stayed on.

    Also when someone calls train() on everything amid the fit, as loops do after validation.
    """
    teacher = tiny_net(6, 2, dropout=0.9).train()
    frozen = copy.deepcopy(teacher).eval()
    gaps, before = [], bits(teacher)

    def listen(_module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        with torch.no_grad():
            gaps.append((frozen(inputs[0]) - output).abs().max().item())

    handle = teacher.register_forward_hook(listen)
    meddle = Watch(lambda: teacher.train())
    fit(
        kd(tiny_net(4, 1), teacher),
        train,
        settings=Settings(epochs=2),
        platform=platform,
        observer=meddle,
    )
    handle.remove()
    assert len(gaps) >= 10
    assert max(gaps) < 1e-6
    assert same(bits(teacher), before)


def test_two_stages_in_one_process_do_not_disturb_each_other(
    train: Batches, platform: Platform
) -> None:
    """The research framework patched a class per stage: two in one process overwrote each other."""

    def pair(seed: int) -> tuple[nn.Module, Stage, Settings]:
        student = tiny_net(4, seed, dropout=0.3)
        stage = kd(student, tiny_net(6, 9), temperature=float(seed))
        return student, stage, Settings(epochs=2, seed=seed)

    alone = []
    for seed in (1, 2):
        student, stage, settings = pair(seed)
        with training(stage, train, settings, platform) as trainer:
            for epoch in range(2):
                list(trainer.steps(epoch))
        alone.append(bits(student))
    (first, one, of_one), (second, two, of_two) = pair(1), pair(2)
    with training(one, train, of_one, platform) as a, training(two, train, of_two, platform) as b:
        for epoch in range(2):
            for _ in zip(a.steps(epoch), b.steps(epoch), strict=True):
                pass
    assert same(bits(first), alone[0])
    assert same(bits(second), alone[1])


def test_settings_that_are_given_are_never_changed(train: Batches, platform: Platform) -> None:
    """Several toolkits change a configuration in place; the second run then starts elsewhere."""
    options = {"temperature": 2.0}
    reads = ["student.logits", "teacher.logits"]
    term = Term("kd", lambda s, t, *, temperature: (s - t).square().mean(1), reads, options=options)
    options["temperature"] = 9.0
    assert term.options == {"temperature": 2.0}
    settings = Settings(epochs=1)
    before = copy.deepcopy(vars(settings))
    stage = kd(tiny_net(4, 1), tiny_net(6, 2))
    nodes, updates = list(stage.nodes), list(stage.updates)
    fit(stage, train, settings=settings, platform=platform)
    assert list(stage.nodes) == nodes
    assert list(stage.updates) == updates
    assert vars(settings) == before
