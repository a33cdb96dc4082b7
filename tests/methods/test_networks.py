"""The networks that a method is given: heads by their names, a teacher as a node, peers."""

import pytest
from torch import nn

from stillhouse.engine.facts import facts_of
from stillhouse.engine.nodes import Role
from stillhouse.engine.stage import Stage
from stillhouse.engine.wiring import wire
from stillhouse.errors import ModelError, WiringError
from stillhouse.methods import METHODS, Method, find_method
from stillhouse.testing.toy import taught, toy_batches, untaught

HEADS = [(m, name) for m in METHODS for name in ("student_head", "head") if name in m.settings]
OF_HEAD = [m for m in METHODS if "head" in m.settings]
TAUGHT = [m for m in METHODS if m.needs_teacher]
by_name = {"ids": lambda value: getattr(value, "name", value)}


def composed(method: Method, teacher: nn.Module | Role | None = None, **settings: object) -> Stage:
    """Of toy networks, whole and checked."""
    others = [teacher or taught(6)] if method.needs_teacher else []
    others += [[untaught(6)]] if method.needs_peers else []
    stage = method.build(untaught(4), *others, **settings).completed(facts_of(toy_batches()))
    wire(stage, toy_batches().sample())
    return stage


@pytest.mark.parametrize(("method", "setting"), HEADS, **by_name)
def test_heads_may_be_named(method: Method, setting: str) -> None:
    who = {"student_head": "student", "head": "teacher"}[setting]
    assert composed(method, **{setting: "fc"}).role(who).head == "fc"
    wrong = rf"head: {who} has no module 'fcc'; nearest: fc"
    with pytest.raises((ModelError, WiringError), match=wrong):
        composed(method, **{setting: "fcc"})


@pytest.mark.parametrize("method", TAUGHT, **by_name)
def test_a_teacher_may_come_as_a_node(method: Method) -> None:
    teacher = Role("teacher", taught(6), head="fc")
    assert composed(method, teacher).node("teacher") is teacher


@pytest.mark.parametrize("method", OF_HEAD, **by_name)
def test_the_head_of_a_node_is_named_in_the_node(method: Method) -> None:
    said = r"comes as a node; name it in the node: Role\('teacher', model, head='fc'"
    with pytest.raises(WiringError, match=said):
        composed(method, Role("teacher", taught(6)), head="fc")


@pytest.mark.parametrize("name", ["ofd", "simkd", "srrl", "th_kd"])
def test_who_uses_the_teachers_modules_needs_it_under_its_name(name: str) -> None:
    with pytest.raises(WiringError, match=rf"{name}: the teacher.* called 'teacher', not 'big'"):
        composed(find_method(name), Role("big", taught(6)))


@pytest.mark.parametrize("method", [m for m in METHODS if m.needs_peers], **by_name)
def test_somebody_must_be_there_to_learn_with(method: Method) -> None:
    said = rf"{method.name}: it has no peer to learn from; give one network"
    with pytest.raises(WiringError, match=said):
        method.build(untaught(4), [])
