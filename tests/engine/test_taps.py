"""Taps hear the very tensor, in eager and compiled models, and leave no hook behind."""

from collections import OrderedDict

import pytest
import torch
from tiny import tiny_net
from torch import Tensor, nn

from stillhouse.engine.nodes import Role
from stillhouse.engine.taps import Taps
from stillhouse.errors import WiringError
from stillhouse.models.outputs import named_outputs

IMAGE = {"batch.image": torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))}


class ModelOutput(OrderedDict):
    """Like the output objects of transformers: a mapping with attributes, None left out."""

    def __getattr__(self, name: str) -> Tensor:
        return self[name]


class Body(nn.Module):
    """Two linear maps whose results come as a tuple, a dict or an output object."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.form = form
        self.first, self.second = nn.Linear(192, 3), nn.Linear(192, 5)

    def forward(self, image: Tensor) -> object:
        flat = image.flatten(1)
        logits, hidden = self.first(flat), self.second(flat)
        if self.form == "tuple":
            return logits, hidden
        if self.form == "list":
            return [logits, (hidden, logits), hidden]
        kind = {"dict": dict, "object": ModelOutput}[self.form]
        return kind(loss=None, logits=logits, hidden=hidden, states=(hidden, logits))


class Around(nn.Module):
    """A model that uses one element of what its body gives."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.body = Body(form)

    def forward(self, image: Tensor) -> Tensor:
        return first_of(self.body(image))


class Wrapped(nn.Module):
    """Calls its parts with keywords, as transformers do; optionally twice, or not at all."""

    def __init__(self, calls: int = 1, fail: bool = False) -> None:
        super().__init__()
        self.body, self.fc = nn.Linear(192, 6), nn.Linear(6, 3)
        self.calls, self.fail = calls, fail

    def forward(self, image: Tensor) -> Tensor:
        hidden = torch.zeros(len(image), 6)
        for _ in range(self.calls):
            hidden = hidden + self.body(input=image.flatten(1))
        if self.fail:
            raise RuntimeError("in the middle")
        return self.fc(input=hidden)


def first_of(output: object) -> Tensor:
    return named_outputs(output, 0 if isinstance(output, tuple | list) else None)["logits"]


def hooks_of(module: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in module.modules())


@pytest.mark.parametrize(
    ("form", "second"), [("tuple", "1"), ("list", "2"), ("dict", "hidden"), ("object", "hidden")]
)
def test_each_form_of_output_has_logits_and_named_elements(form: str, second: str) -> None:
    body = Body(form)
    logits, hidden = (part(IMAGE["batch.image"].flatten(1)) for part in (body.first, body.second))
    role = Role("student", body, output=0 if form in ("tuple", "list") else None)
    role.open(["logits", f":{second}"])
    given = role.run(IMAGE)
    role.close()
    assert torch.equal(given["student.logits"], logits)
    assert torch.equal(given[f"student.:{second}"], hidden)


@pytest.mark.parametrize(
    ("form", "second"), [("tuple", "1"), ("list", "2"), ("dict", "hidden"), ("object", "hidden")]
)
def test_a_tap_chooses_one_element_of_what_a_module_gives(form: str, second: str) -> None:
    around = Around(form)
    flat = IMAGE["batch.image"].flatten(1)
    with Taps(around, ["body", f"body:{second}"], who="student") as taps:
        around(IMAGE["batch.image"])
        heard = taps.collect()
    assert torch.equal(heard["body"], around.body.first(flat)), "no suffix: the first, or logits"
    assert torch.equal(heard[f"body:{second}"], around.body.second(flat))


def test_an_element_that_is_not_there_is_named_with_those_that_are() -> None:
    around = Around("dict")
    with Taps(around, ["body:hiden"], who="teacher") as taps:
        around(IMAGE["batch.image"])
        with pytest.raises(WiringError, match=r"teacher: tap 'body:hiden'.*'body:hidden'"):
            taps.collect()


@pytest.mark.parametrize("tap", [":1", "0:hidden"])
def test_of_one_tensor_there_is_no_element(tap: str) -> None:
    """Else a second output that a model has not would quietly be its first."""
    model = nn.Sequential(nn.Linear(2, 2))
    with Taps(model, [tap], who="student") as taps:
        model(torch.ones(1, 2))
        with pytest.raises(WiringError, match=r"finds no tensor .* in what '(student|0)' gives"):
            taps.collect()


@pytest.mark.parametrize("path", ["body", "fc"])
def test_an_input_is_heard_however_it_was_passed(path: str) -> None:
    model = Wrapped()
    image = IMAGE["batch.image"]
    with Taps(model, [f"{path}:in"], who="student") as taps:
        model(image)
        heard = taps.collect()[f"{path}:in"]
    wanted = image.flatten(1) if path == "body" else model.body(image.flatten(1))
    assert torch.equal(heard, wanted)


def test_a_tensor_is_the_one_of_the_model_with_its_gradients() -> None:
    net = tiny_net()
    role = Role("student", net)
    role.open(["embedding", "bn", "conv:in"])
    given = role.run(IMAGE)
    role.close()
    assert torch.equal(net.fc(given["student.embedding"]), given["student.logits"])
    assert torch.equal(given["student.conv:in"], IMAGE["batch.image"])
    given["student.bn"].sum().backward()
    assert net.conv.weight.grad is not None
    assert net.fc.weight.grad is None


@pytest.mark.parametrize("calls", [0, 2])
@pytest.mark.parametrize("tap", ["body", "body:in"])
def test_a_module_must_run_exactly_once(calls: int, tap: str) -> None:
    role = Role("peer", Wrapped(calls))
    role.open([tap])
    said = "did not run" if calls == 0 else "runs several times"
    with pytest.raises(WiringError, match=f"peer: module 'body' {said}"):
        role.run(IMAGE)
    role.close()


def test_a_step_that_failed_does_not_leak_into_the_next() -> None:
    model = Wrapped(fail=True)
    role = Role("student", model)
    role.open(["body", "fc:in"])
    with pytest.raises(RuntimeError, match="in the middle"):
        role.run(IMAGE)
    model.fail = False
    given = role.run(IMAGE)
    assert torch.equal(given["student.body"], given["student.fc:in"])
    role.close()
    assert hooks_of(model) == 0


def test_every_step_is_heard_anew() -> None:
    net = tiny_net().eval()
    role = Role("student", net)
    role.open(["bn"])
    one = role.run(IMAGE)["student.bn"]
    two = role.run({"batch.image": 2 * IMAGE["batch.image"]})["student.bn"]
    assert not torch.equal(one, two)
    assert torch.equal(two, net.bn(net.conv(2 * IMAGE["batch.image"])))
    role.close()


def test_hooks_go_when_the_block_ends_in_an_exception() -> None:
    net = tiny_net()

    def listen() -> None:
        with Taps(net, ["bn", "fc:in", ""], who="student"):
            assert hooks_of(net) == 3
            raise RuntimeError

    with pytest.raises(RuntimeError):
        listen()
    assert hooks_of(net) == 0


def test_opening_again_replaces_the_hooks() -> None:
    role = Role("student", tiny_net())
    role.open(["bn", "embedding"])
    role.open(["conv"])
    assert hooks_of(role.module) == 1
    assert set(role.run(IMAGE)) == {"student.logits", "student.conv"}
    role.close()


@pytest.mark.parametrize("change", [nn.ReLU(inplace=True), nn.ReLU()])
def test_a_tap_that_is_changed_in_place_is_refused(change: nn.Module) -> None:
    """A peer's 'pre-activation' was the activation, since the next ReLU wrote over it."""
    role = Role("student", nn.Sequential(nn.Flatten(), nn.Linear(192, 3), change))
    role.open(["1"])
    role.watch()
    if change.inplace:
        with pytest.raises(WiringError, match="tap '1' is changed in place after '1'"):
            role.run(IMAGE)
    else:
        assert role.run(IMAGE)["student.1"].min() < 0
    role.close()


@pytest.mark.parametrize("form", ["tuple", "object"])
def test_taps_compile_into_one_graph_and_stay_fresh(form: str) -> None:
    torch._dynamo.reset()
    model = nn.Sequential(Around(form), nn.ReLU(), nn.Linear(3, 3))
    role = Role("student", model)
    role.open(["embedding", "0.body:1" if form == "tuple" else "0.body:hidden", "1:in"])

    def step(image: Tensor) -> dict[str, Tensor]:
        return role.run({"batch.image": image})

    explained = torch._dynamo.explain(step)(IMAGE["batch.image"])
    assert (explained.graph_count, explained.graph_break_count) == (1, 0)
    torch._dynamo.reset()
    compiled = torch.compile(step, backend="aot_eager", fullgraph=True)
    for scale in (1.0, -2.0, 3.0):
        image = scale * IMAGE["batch.image"]
        wanted, given = step(image), compiled(image)
        assert wanted.keys() == given.keys()
        for name, value in wanted.items():
            torch.testing.assert_close(given[name], value)
    given["student.embedding"].sum().backward()
    assert model[0].body.first.weight.grad is not None
    role.close()
    assert hooks_of(model) == 0
