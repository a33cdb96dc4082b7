"""Precision and compilation of the composite module."""

import copy
from functools import partial

import pytest
import torch
from tiny import tiny_net
from torch import Tensor, nn

from stillhouse.data.batches import Batches
from stillhouse.engine.composite import Composite
from stillhouse.engine.fit import fit
from stillhouse.engine.nodes import Bridge, Role
from stillhouse.engine.optimisers import sgd
from stillhouse.engine.platform import Platform, open_platform
from stillhouse.engine.schedules import constant
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.terms import Term
from stillhouse.engine.trainer import Settings, training
from stillhouse.functional import cross_entropy, mse
from stillhouse.methods import kd, th_kd

ONE = Settings(epochs=1, optimizer=sgd(0.1), schedule=constant(), channels_last=False)


@pytest.fixture
def half() -> Platform:
    return open_platform(device="cpu", precision="bf16")


@pytest.fixture
def fresh_compiler():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def gram(first: Tensor, second: Tensor) -> Tensor:
    """A loss with a product inside, which autocast would do in half precision."""
    assert first.dtype == second.dtype == torch.float32
    product = first @ second.T
    assert product.dtype == torch.float32
    return product.square().mean(1)


def test_a_bridge_that_is_a_formula_keeps_its_digits_and_a_module_runs_in_half(
    train: Batches, half: Platform
) -> None:
    """In the step and outside of it, as `fsp` needs it."""
    seen: dict[str, set[torch.dtype]] = {"mine": set(), "theirs": set()}

    def inner(name: str, x: Tensor) -> Tensor:
        assert x.dtype == torch.float32
        seen[name].add((x @ x.T).dtype)
        return x

    projector = nn.Linear(3, 3)
    projector.register_forward_hook(lambda _m, _a, out: seen["mine"].add(out.dtype))
    nodes = [
        Role("student", tiny_net(4, 1)), Role("teacher", tiny_net(6, 2)),
        Bridge("projected", projector, "student.logits"),
        Bridge("mine", partial(inner, "mine"), "projected"),
        Bridge("theirs", partial(inner, "theirs"), "teacher.logits"),
    ]  # fmt: skip
    stage = Stage(
        "s", nodes, [Update(["student", "projected"], [Term("t", mse, ["mine", "theirs"])])]
    )
    with training(stage, train, ONE, half) as trainer:
        seen["mine"].clear()
        next(iter(trainer.steps(0)))
    assert seen == {"mine": {torch.float32, torch.bfloat16}, "theirs": {torch.float32}}


class Judge(nn.Module):
    """A loss with a weight of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 3)

    def forward(self, scores: Tensor, label: Tensor) -> Tensor:
        return cross_entropy(self.linear(scores), label)


def test_bf16_models_run_in_half_and_terms_and_weights_are_whole(
    train: Batches, half: Platform
) -> None:
    student, teacher = tiny_net(4, 1), tiny_net(6, 2)
    kinds: dict[str, set[torch.dtype]] = {"student": set(), "teacher": set()}
    for name, net in (("student", student), ("teacher", teacher)):
        net.conv.register_forward_hook(lambda _m, _a, out, name=name: kinds[name].add(out.dtype))
    terms = [
        Term("gram", gram, ["student.logits", "teacher.logits"]),
        Term("judged", Judge(), ["student.logits", "batch.label"]),
    ]
    stage = Stage(
        "s", [Role("student", student), Role("teacher", teacher)], [Update("student", terms)]
    )
    with training(stage, train, ONE, half) as trainer:
        (stepper,) = trainer.steppers
        kinds["student"].clear(), kinds["teacher"].clear()
        added: list[Tensor] = []
        stepper.meter.add = lambda values, *, step: added.append(values)
        steps = trainer.steps(0)
        next(steps), next(steps)
        assert [values.dtype for values in added] == [torch.float32] * 2
        assert all(torch.isfinite(values).all() for values in added)
        tensors = list(student.state_dict().values())
        tensors += [
            moment for state in stepper.optimizer.state.values() for moment in state.values()
        ]
    assert kinds == {"student": {torch.bfloat16}, "teacher": {torch.bfloat16}}
    floats = [t for t in tensors if isinstance(t, Tensor) and t.is_floating_point()]
    assert len(floats) > len(list(student.parameters()))
    assert {t.dtype for t in floats} == {torch.float32}


def test_bf16_is_near_fp32(train: Batches, platform: Platform, half: Platform) -> None:
    whole, rounded = tiny_net(4, 1), tiny_net(4, 1)
    one = fit(kd(whole, tiny_net(6, 2)), train, settings=ONE, platform=platform)
    two = fit(kd(rounded, tiny_net(6, 2)), train, settings=ONE, platform=half)
    assert not torch.equal(whole.conv.weight, rounded.conv.weight)
    assert two.history[0]["loss"] == pytest.approx(one.history[0]["loss"], rel=0.02)
    torch.testing.assert_close(rounded.fc.weight, whole.fc.weight, atol=0.02, rtol=0.02)


def test_only_what_learns_is_registered(train: Batches, platform: Platform) -> None:
    student, teacher = tiny_net(4, 1), tiny_net(6, 2)
    with training(th_kd(student, teacher), train, ONE, platform) as trainer:
        (plan,) = trainer.objective.wiring.updates
        mine = {id(p) for p in Composite(plan).parameters()}
        bridge = trainer.objective.wiring.stage.node("matched").module
    assert mine == {id(p) for net in (student, bridge) for p in net.parameters()}


@pytest.mark.usefixtures("fresh_compiler")
@pytest.mark.parametrize("method", [kd, th_kd])
def test_compiled_training_equals_eager(
    method, train: Batches, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One graph per update (fullgraph), whichever taps are open; the code generator is left out."""
    asked: list[dict[str, object]] = []

    def compile_fast(self: nn.Module, **options: object) -> None:
        asked.append(options)
        compiled(self, **options, backend="aot_eager")

    compiled = nn.Module.compile
    monkeypatch.setattr(nn.Module, "compile", compile_fast)
    teacher, eager = tiny_net(6, 2), tiny_net(4, 1)
    fast = copy.deepcopy(eager)
    fit(method(eager, teacher), train, settings=ONE, platform=platform, validation=train)
    settings = Settings(epochs=1, optimizer=ONE.optimizer, schedule=ONE.schedule, compile=True,
                        channels_last=False)  # fmt: skip
    fit(method(fast, teacher), train, settings=settings, platform=platform, validation=train)
    assert asked == [{"fullgraph": True}]
    for a, b in zip(fast.parameters(), eager.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)
    assert torch._dynamo.utils.counters["graph_break"] == {}


@pytest.mark.slow
@pytest.mark.usefixtures("fresh_compiler")
@pytest.mark.filterwarnings("ignore")
def test_generated_code_equals_eager(train: Batches, platform: Platform) -> None:
    teacher, eager = tiny_net(6, 2), tiny_net(4, 1)
    fast = copy.deepcopy(eager)
    for net, compile in ((eager, False), (fast, True)):
        settings = Settings(epochs=1, optimizer=sgd(0.1), schedule=constant(), compile=compile)
        fit(th_kd(net, teacher), train, settings=settings, platform=platform, validation=train)
    for a, b in zip(fast.parameters(), eager.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-3)
