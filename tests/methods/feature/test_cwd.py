"""Channel-wise distillation: the loop by hand, and maps of another width."""

from by_hand import Batch, Nets, equals_by_hand, frozen, labels, of_toy
from torch import Tensor

from stillhouse.engine.facts import facts_of
from stillhouse.engine.wiring import wire
from stillhouse.methods import cwd
from stillhouse.testing.toy import taught, toy_batches, untaught


def gap(s: Tensor, t: Tensor) -> Tensor:
    p, q = (x.flatten(2).div(2.0).softmax(2) for x in (s, t))
    return 4.0 * (q * (q.log() - p.log())).sum(2).mean()


def objective(nets: Nets, batch: Batch, _epoch: float) -> Tensor:
    *maps, logits = of_toy(nets["student"], batch)
    *targets, _ = frozen(of_toy, nets["teacher"], batch)
    gaps = [gap(s, t) for s, t in zip(maps, targets, strict=True)]
    return labels(logits, batch) + 3.0 * sum(gaps)


def test_it_equals_a_loop_by_hand() -> None:
    equals_by_hand(
        cwd(untaught(6), taught(6), weight=3.0, temperature=2.0), toy_batches(), objective
    )


def test_maps_of_another_width_and_size_are_brought_to_the_teachers() -> None:
    stage = cwd(untaught(4), taught(6), pairs=(("relu", "down"),))
    seen = wire(stage, toy_batches().sample()).seen
    assert seen["aligned1"].shape == seen["target1"].shape == seen["teacher.down"].shape


def test_levels_pair_by_themselves() -> None:
    found = cwd(untaught(4), taught(6)).completed(facts_of(toy_batches()))
    assert found.notes["pairs"] == "relu - relu, down - down"
