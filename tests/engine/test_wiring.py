"""Everything that is wrong with a stage is said before its first step, all at once."""

import pytest
import torch
from mistakes import DATA, DECLARED, KD, LABEL, REHEARSED, Grey, TwoHeads, stage, term, wide
from tiny import tiny_net
from torch import Tensor

from stillhouse.data.batches import Batches
from stillhouse.engine.fit import fit
from stillhouse.engine.nodes import Bridge, Role
from stillhouse.engine.platform import Platform
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.terms import Term
from stillhouse.engine.trainer import Settings
from stillhouse.engine.wiring import wire
from stillhouse.errors import WiringError
from stillhouse.functional import cross_entropy, kl

EVERY = {**DECLARED, **REHEARSED}


def wiring_error(made: Stage, batch: dict[str, Tensor] | None = None) -> WiringError:
    with pytest.raises(WiringError) as caught:
        wire(made, batch or DATA)
    return caught.value


@pytest.mark.parametrize("kind", EVERY)
def test_every_kind_of_mistake_is_named(kind: str) -> None:
    made, said = EVERY[kind]
    error = wiring_error(made())
    assert error.where == "stage 's'"
    assert any(said in problem for problem in error.problems), error
    assert len(error.problems) <= 2, f"one mistake is not many: {error}"


def test_nothing_is_wrong_with_the_rest() -> None:
    wire(stage(terms=[LABEL, KD]), DATA)
    terms = [LABEL, term(["student.conv", "teacher.embedding"])]
    wire(stage(Role("teacher", TwoHeads(7), head="fc"), terms=terms), DATA)


def test_all_declared_mistakes_come_together() -> None:
    projected = Bridge("p", lambda x: x, "teachr.logits")
    terms = [
        Term("label", cross_entropy, ["student.logits", "batch.lable"]),
        term(["student.cnov"], "tap"),
        term(["nobody"], "nobody"),
        term(["student.fc"], "tap"),
    ]
    made = stage(projected, terms=terms, measures={"m": "student.f"}, keeps="x", learns=["y"])
    error = wiring_error(made)
    wanted = ["'teachr'", "'batch.lable'", "'cnov'", "'nobody'", "two terms are called 'tap'"]
    wanted += ["measure 'm'", "keeps 'x'", "trains 'y'"]
    assert len(error.problems) == len(wanted), error
    for some in wanted:
        assert any(some in problem for problem in error.problems), some
    assert str(error).startswith(f"stage 's' has {len(wanted)} problems:\n  - ")


def test_reads_and_uses_come_together() -> None:
    terms = [LABEL, term(["student.cnov"]), Term("kd", kl, ["teacher.logits", "student.logits"])]
    error = wiring_error(stage(terms=terms))
    assert [("cnov" in p, "teaches nobody" in p) for p in error.problems] == [
        (True, False),
        (False, True),
    ]


def test_all_dry_run_mistakes_come_together() -> None:
    nodes = [
        Role("student", tiny_net(seed=1)),
        Role("teacher", Grey()),
        Role("second", wide(100)),
        Role("third", TwoHeads(5)),
    ]
    terms = [
        KD,
        Term("wide", kl, ["student.logits", "second.logits"]),
        term(["student.conv", "third.embedding"], "head"),
        Term("bad", lambda x: x.mean(1) / 0, ["student.logits"]),
    ]
    error = wiring_error(Stage("s", nodes, [Update("student", terms)]))
    wanted = ["node 'teacher' fails", "'third.auxiliary'", "term 'wide' does not", "term 'bad' is"]
    assert len(error.problems) == 4, error
    for problem, some in zip(error.problems, wanted, strict=True):
        assert some in problem


def test_a_column_that_the_batch_lacks_is_found() -> None:
    error = wiring_error(stage(), {"batch.image": DATA["batch.image"]})
    assert (
        "term 'label' reads 'batch.label': the batch has no 'label' (it has: image); give labels"
        in error.problems[0]
    )


def snapshot(made: Stage) -> list[object]:
    """All that a stage could leave behind on the models of the user."""
    modules = [part for node in made.nodes if node.module for part in node.module.modules()]
    parameters = [p for node in made.nodes if node.module for p in node.module.parameters()]
    return [
        [(m.training, len(m._forward_hooks), len(m._forward_pre_hooks)) for m in modules],
        [(p.requires_grad, p.device, p.stride(), p.grad) for p in parameters],
        [p.detach().clone() for p in parameters],
        [b.clone() for node in made.nodes if node.module for b in node.module.buffers()],
    ]


def same(before: object, after: object) -> bool:
    if isinstance(before, Tensor):
        return torch.equal(before, after)
    if isinstance(before, list | tuple):
        return all(same(a, b) for a, b in zip(before, after, strict=True))
    return before == after


@pytest.mark.parametrize("kind", EVERY)
def test_a_failed_stage_leaves_models_as_they_were(
    kind: str, train: Batches, platform: Platform
) -> None:
    made = EVERY[kind][0]()
    made.role("student").module.train().conv.weight.requires_grad_(False)
    made.nodes[0].module.bn.eval()
    before = snapshot(made)
    with pytest.raises(WiringError):
        fit(made, train, settings=Settings(epochs=1), platform=platform)
    assert same(before, snapshot(made))
