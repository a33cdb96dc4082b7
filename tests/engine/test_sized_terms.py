"""Terms whose losses are built from the shapes that they meet, and stages completed in steps."""

from dataclasses import replace

import pytest
import torch
from tiny import tiny_net
from torch import Size, Tensor, nn

from stillhouse.data.batches import Batches
from stillhouse.engine.facts import Facts, facts_of
from stillhouse.engine.fit import fit
from stillhouse.engine.nodes import Role
from stillhouse.engine.platform import Platform
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.terms import Term
from stillhouse.engine.trainer import Settings
from stillhouse.engine.wiring import wire
from stillhouse.errors import WiringError


class Scaled(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.randn(width))

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        return (self.scale * student - teacher).square().mean(1)


def stage(term: Term) -> Stage:
    nodes = [Role("student", tiny_net(4, 1)), Role("teacher", tiny_net(4, 2))]
    return Stage("sized", nodes, [Update("student", [term])])


def term() -> Term:
    def build(student: Size, teacher: Size) -> Scaled:
        assert student == teacher
        return Scaled(student[1])

    return Term.sized("gap", build, ["student.embedding", "teacher.embedding"], weight=0.5)


def test_it_is_built_once_under_the_seed_and_learns(train: Batches, platform: Platform) -> None:
    terms = [term() for _ in range(3)]
    for one, seed in zip(terms, (1, 1, 2), strict=True):
        assert one.module is None
        wire(stage(one), train.sample(), seed=seed)
    first, same, other = (one.module.scale.detach().clone() for one in terms)
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
    module = terms[0].module
    fit(stage(terms[0]), train, settings=Settings(epochs=1, seed=5), platform=platform)
    assert terms[0].module is module
    assert module.training
    assert (module.scale != first).all()


def test_before_that_it_says_so() -> None:
    x = torch.zeros(1, 2)
    with pytest.raises(WiringError, match="term 'gap': it was not sized yet"):
        term().value({"student.embedding": x, "teacher.embedding": x})


def test_a_builder_that_fails_is_told_with_the_shapes(train: Batches) -> None:
    def build(*_: Size) -> nn.Module:
        raise ValueError("too wide")

    bad = Term.sized("gap", build, ["student.embedding", "teacher.embedding"])
    with pytest.raises(WiringError, match=r"term 'gap' does not fit .*\[4, 4\].*: too wide"):
        wire(stage(bad), train.sample())


def test_a_stage_may_be_completed_in_several_steps(train: Batches) -> None:
    seen = []

    facts = facts_of(train)

    def second(known: Stage, data: Facts) -> Stage:
        seen.append((known.notes["first"], data is facts, known.complete))
        return replace(known, notes={**known.notes, "second": "done"})

    def first(known: Stage, _: Facts) -> Stage:
        return replace(known, notes={"first": "done"}, complete=second)

    whole = replace(stage(term()), complete=first).completed(facts)
    assert whole.notes == {"first": "done", "second": "done"}
    assert whole.complete is None
    assert seen == [("done", True, None)]
