"""What runs, where and when: the plan that wiring makes of a stage that fits together."""

import re
from dataclasses import fields, replace

import pytest
import torch
from mistakes import DATA, KD, LABEL, stage
from tiny import tiny_net
from torch import Tensor, nn

from stillhouse.data.batches import Batches
from stillhouse.engine.fit import fit
from stillhouse.engine.nodes import Bridge, Role
from stillhouse.engine.platform import Platform
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.terms import Term
from stillhouse.engine.trainer import Settings
from stillhouse.engine.wiring import Wiring, wire
from stillhouse.errors import WiringError
from stillhouse.functional import kl


class Untouchable(nn.Module):
    """Fails when it is called."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(192, 3)

    def forward(self, image: Tensor) -> Tensor:
        raise AssertionError("called")


def test_only_what_is_needed_runs(train: Batches, platform: Platform) -> None:
    idle = Bridge("idle", lambda x: 1 / 0, "teacher.logits")
    made = stage(Role("teacher", Untouchable()), idle)
    wiring = wire(made, DATA)
    assert [node.name for node in wiring.nodes] == ["student"]
    fit(made, train, settings=Settings(epochs=1), platform=platform, validation=train)
    with pytest.raises(WiringError, match=r"node 'teacher' fails .* called"):
        fit(
            stage(Role("teacher", Untouchable()), terms=[KD]),
            train,
            settings=Settings(epochs=1),
            platform=platform,
        )


def test_what_is_only_measured_runs_in_no_step() -> None:
    """The teacher is scored beside the student, but no term reads it."""
    mixed = Bridge("mixed", lambda a, b: a + b, ["student.logits", "teacher.fc"])
    made = stage(mixed, measures={"mixed": "mixed", "student": "student.logits"})
    wiring = wire(made, DATA)
    (plan,) = wiring.updates
    assert [n.name for n in (*plan.outside, *plan.inside)] == ["student"]
    assert [n.name for n in wiring.measuring] == ["student", "teacher", "mixed"]
    assert wiring.parts["teacher"] == ("fc",)


def planned(wiring: Wiring) -> list[tuple[list[str], list[str]]]:
    return [([n.name for n in p.outside], [n.name for n in p.inside]) for p in wiring.updates]


def test_frozen_nodes_run_inside_only_behind_a_learner() -> None:
    head = Role("teacher", tiny_net(seed=2))
    shared_head = Bridge("shared", head.module.fc, "student.embedding")
    soft = Bridge("soft", lambda x: x.softmax(1), "teacher.logits")
    terms = [LABEL, Term("th", kl, ["shared", "soft"])]
    assert planned(wire(stage(head, shared_head, soft, terms=terms), DATA)) == [
        (["teacher", "soft"], ["student", "shared"])
    ]


def test_each_update_has_its_own_plan() -> None:
    nodes = [Role("a", tiny_net(seed=1)), Role("b", tiny_net(seed=2))]
    updates = [
        Update(me, [Term(f"kd_{me}", kl, [f"{me}.logits", f"{other}.logits"])], name=me)
        for me, other in (("a", "b"), ("b", "a"))
    ]
    made = Stage("mutual", nodes, updates, measures={"a": "a.logits"}, keeps="a")
    assert planned(wire(made, DATA)) == [(["b"], ["a"]), (["a"], ["b"])]


def test_the_same_seed_sizes_bridges_equally_whatever_ran_before() -> None:
    def bridge(before: int, seed: int) -> nn.Module:
        made = Bridge.sized(
            "p",
            lambda s, t: nn.Linear(s[1], t[1]),
            "student.embedding",
            by=["student.embedding", "teacher.logits"],
        )
        term = Term("p", lambda p: p.mean(1), ["p"])
        composed = stage(made, terms=[term], learns=["student", "p"])
        torch.manual_seed(before)
        wire(composed, DATA, seed=seed)
        return made.module

    one = bridge(before=0, seed=3)
    assert torch.equal(one.weight, bridge(before=1, seed=3).weight)
    assert not torch.equal(one.weight, bridge(before=0, seed=4).weight)
    assert one.weight.shape == (3, 4)


def test_the_dry_run_draws_nothing_and_moves_nothing() -> None:
    made = stage(terms=[LABEL, KD])
    for node in made.nodes:
        node.module.drop.p = 0.5
        node.module.train()
    before = [value.clone() for node in made.nodes for value in node.module.state_dict().values()]
    state = torch.get_rng_state()
    wire(made, DATA)
    assert torch.equal(state, torch.get_rng_state())
    after = [value for node in made.nodes for value in node.module.state_dict().values()]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_memories_do_not_fill_in_the_dry_run() -> None:
    class Memory(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("seen", torch.zeros(()))

        def forward(self, first: Tensor) -> Tensor:
            if self.training:
                self.seen += 1
            return first.mean(1)

    memory = Memory()
    wire(stage(terms=[Term("bank", memory, ["student.logits"])]), DATA)
    assert memory.seen == 0
    assert memory.training


def test_a_named_node_is_found_or_its_neighbours_are_named() -> None:
    made = stage()
    with pytest.raises(WiringError, match=re.escape("no node 'studen'; nearest: student")):
        made.node("studen")
    with pytest.raises(WiringError, match="'p' is not a Role but a Bridge"):
        stage(Bridge("p", lambda x: x, "student.logits")).role("p")
    with pytest.raises(WiringError, match="no node 'assistant'"):
        made.replace(Role("assistant", tiny_net()))
    other = Role("teacher", tiny_net())
    swapped = made.replace(other)
    assert swapped.node("teacher") is other
    assert made.node("teacher") is not other, "the stage itself is not changed"


def test_a_stage_with_another_node_keeps_everything_else() -> None:
    made = replace(stage(), products={"student": tiny_net}, measures={"own": "student.logits"})
    for other in (
        made.replace(Role("teacher", tiny_net())),
        made.through("teacher", Bridge("larger", lambda x: x, "batch.image")),
    ):
        for one in fields(made):
            same = getattr(other, one.name) is getattr(made, one.name)
            assert same or one.name == "nodes", one.name
