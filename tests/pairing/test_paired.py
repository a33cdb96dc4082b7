"""Stages whose pairs are named, found by level, or by likeness; and what cannot be."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from stillhouse.bridges import Connector
from stillhouse.engine.facts import facts_of
from stillhouse.engine.fit import fit
from stillhouse.engine.nodes import Bridge, Role
from stillhouse.engine.platform import open_platform
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.terms import Term
from stillhouse.engine.trainer import Settings
from stillhouse.errors import RecipeError, WiringError
from stillhouse.functional import mse
from stillhouse.methods.roles import label_term
from stillhouse.pairing import Pair, Pairs, paired
from stillhouse.testing.toy import taught, toy_batches, untaught


def hints(pairs: Pairs) -> Stage:
    nodes = [Role("student", untaught(4)), Role("teacher", taught(6))]
    return paired(Stage("hints", nodes, [Update("student", [label_term()])]), pairs, add)


def add(stage: Stage, pairs: tuple[Pair, ...]) -> Stage:
    bridges, terms = [], [label_term()]
    for at, (mine, theirs) in enumerate(pairs):
        reads = [f"student.{mine}", f"teacher.{theirs}"]
        bridges.append(Bridge.sized(f"hint{at}", Connector, reads[0], by=reads))
        terms.append(Term(f"gap{at}", mse, [f"hint{at}", reads[1]]))
    learns = ["student", *(bridge.name for bridge in bridges)]
    return replace(stage, nodes=[*stage.nodes, *bridges], updates=[Update(learns, terms)])


def test_named_pairs_are_composed_at_once_and_levels_with_the_data() -> None:
    named, found = hints((("relu", "relu"), ("down", "down"))), hints("levels")
    assert named.complete is None
    assert found.complete is not None
    whole = found.completed(facts_of(toy_batches()))
    assert [t.reads for t in whole.terms()] == [t.reads for t in named.terms()]
    assert whole.notes == {"pairs": "relu - relu, down - down"}
    assert whole.complete is None


def test_an_incomplete_stage_is_completed_by_the_fit() -> None:
    platform = open_platform(device="cpu", precision="fp32")
    results = [
        fit(hints(pairs), toy_batches(), settings=Settings(epochs=1, seed=1), platform=platform)
        for pairs in ("levels", (("relu", "relu"), ("down", "down")))
    ]
    first, second = (result.last["student"] for result in results)
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert set(results[0].last) == {"student", "hint0", "hint1"}


def test_a_role_is_looked_at_through_its_own_input() -> None:
    seen = []

    class Watching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = taught(6)

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            seen.append(image.shape)
            return self.net(image)

    stage = hints("auto").replace(Role("teacher", Watching()))
    large = Bridge("large", lambda x: nn.functional.interpolate(x, size=(16, 16)), "batch.image")
    whole = stage.through("teacher", large).completed(facts_of(toy_batches()))
    assert {shape[2:] for shape in seen} == {torch.Size([16, 16])}
    assert whole.notes["pairs"].count(" - ") == 2


@pytest.mark.parametrize(
    ("pairs", "message"),
    [("level", "nearest: levels"), ((), "write pairs of taps"), ((("relu",),), "write pairs")],
)
def test_what_names_no_pairs_is_refused(pairs: Pairs, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        hints(pairs)


def test_a_cache_has_no_layers_to_look_at() -> None:
    stage = hints("levels").replace(Bridge("teacher", lambda x: x, "batch.image"))
    with pytest.raises(WiringError, match="'teacher' is a Bridge, whose layers cannot be looked"):
        stage.completed(facts_of(toy_batches()))
