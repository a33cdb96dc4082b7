"""Focal and global distillation: the loop by hand where the image is one object."""

from by_hand import Batch, Nets, equals_by_hand, frozen, labels, of_toy
from torch import Tensor

from stillhouse.engine.facts import facts_of
from stillhouse.engine.wiring import wire
from stillhouse.methods import fgd
from stillhouse.testing.toy import taught, toy_batches, untaught


def attentions(x: Tensor) -> tuple[Tensor, Tensor]:
    at, along = x.abs().mean(1).flatten(1) / 0.5, x.abs().mean((2, 3)) / 0.5
    return at.shape[1] * at.softmax(1), along.shape[1] * along.softmax(1)


def gap(s: Tensor, t: Tensor) -> Tensor:
    (s_at, s_along), (t_at, t_along) = attentions(s), attentions(t)
    each = t_at[:, None] * t_along[:, :, None] * (s - t).square().flatten(2) / s[0, 0].numel()
    apart = (s_at - t_at).abs().sum() + (s_along - t_along).abs().sum()
    return (0.2 * each.sum() + 0.3 * apart) / len(s)


def objective(nets: Nets, batch: Batch, _epoch: float) -> Tensor:
    *maps, logits = of_toy(nets["student"], batch)
    *targets, _ = frozen(of_toy, nets["teacher"], batch)
    gaps = [gap(s, t) for s, t in zip(maps, targets, strict=True)]
    return labels(logits, batch) + 1.0 * sum(gaps)


def test_it_equals_a_loop_by_hand() -> None:
    equals_by_hand(
        fgd(untaught(6), taught(6), foreground=0.2, background=9.0, attention=0.3, context=0.0),
        toy_batches(),
        objective,
    )


def test_maps_of_another_width_and_size_are_brought_to_the_teachers() -> None:
    stage = fgd(untaught(4), taught(6), pairs=(("relu", "down"),))
    seen = wire(stage, toy_batches().sample()).seen
    assert seen["aligned1"].shape == seen["target1"].shape == seen["teacher.down"].shape


def test_levels_pair_by_themselves() -> None:
    found = fgd(untaught(4), taught(6)).completed(facts_of(toy_batches()))
    assert found.notes["pairs"] == "relu - relu, down - down"
