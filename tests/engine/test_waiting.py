"""No step waits for the device: tried on ``meta``, where whatever asks for a value fails."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import nn
from waiting import META, Waits

from stillhouse.cache import Replay, record
from stillhouse.data import Augment, Batches, ImageTable
from stillhouse.data.views import LOOKUP
from stillhouse.engine.facts import facts_of
from stillhouse.engine.nodes import Role
from stillhouse.engine.objective import Objective
from stillhouse.engine.platform import Platform
from stillhouse.engine.trainer import Settings, Trainer
from stillhouse.methods import METHODS, find_method, kd
from stillhouse.testing.contract import positional
from stillhouse.testing.toy import taught, toy_batches, untaught

FEW = ("annealing_kd", "crd", "dml", "ema_kd", "token_kd")
"""A weight that follows the training, a memory, several updates, a moving average, a mixture."""


def move(objective: Objective) -> None:
    """To ``meta``, where parameters become new objects: what learns is told again."""
    learning = {name for name, _ in objective.named_parameters()}
    objective.to(META)
    now = {n: p for n, p in nn.Module.named_parameters(objective) if n in learning}
    objective._learnt.update(map(id, now.values()))
    if objective._learning is not None:
        for parameter in now.values():
            parameter.requires_grad_(True)
        objective._learning._wanted = set(now.values())


@contextmanager
def on_meta(name: str) -> Iterator[Trainer]:
    """A method on the toy problem, opened on the processor and then moved."""
    data, build = toy_batches(), find_method(name).build
    there = {"student": untaught(4), "teacher": taught(6), "peers": [untaught(6)]}
    stage = build(*(there[each] for each in positional(build))).completed(facts_of(data))
    sample, settings = data.sample(), Settings(epochs=6)
    with stage.open(sample["batch.image"], sample["batch.label"], index=sample["batch.index"],
                    epochs=6) as objective:  # fmt: skip
        move(objective)
        yield Trainer(objective, data, settings, Platform(None, META, "fp32"))


def steps(trainer: Trainer) -> list[str]:
    """Two steps between two looks at the losses; what was waited for."""
    batches = trainer._train.epoch(0, order=trainer.objective.stage.order)
    shown = [{k: v.to(META) for k, v in next(batches).items() if k != LOOKUP} for _ in range(2)]
    with Waits() as waits:
        for number, batch in enumerate(shown, 1):
            trainer._step([batch], number)
    return waits.found


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(method.name, marks=() if method.name in FEW else pytest.mark.slow)
        for method in METHODS
    ],
)
def test_no_step_waits_for_the_device(name: str) -> None:
    with on_meta(name) as trainer:
        assert steps(trainer) == []


def test_the_trial_finds_what_waits() -> None:
    """A number that is read, a tensor made of numbers, and an index from the processor."""
    with on_meta("kd") as trainer:
        objective = trainer.objective
        after = objective.after_step
        objective.after_step = lambda progress: (  # type: ignore[method-assign]
            after(progress),
            torch.tensor([1.0, 2.0], device=META),
            objective.updates[0].scale[torch.tensor([0])],
            torch.ones(2).to(META),
        )
        found = steps(trainer)
        assert len(found) == 6
        assert len(set(found)) == 3
        objective.after_step = lambda progress: objective.updates[0].scale.tolist()  # type: ignore
        with pytest.raises(NotImplementedError, match="no data"):
            steps(trainer)


@pytest.mark.parametrize(
    "options",
    [
        {"crop": 2, "flip": True, "cutout": 2, "erase": 0.5, "mixup": 0.2, "cutmix": 1.0},
        {"size": 8, "resize": 10, "resized_crop": 0.5, "rotate": 9.0, "blur": 1.0, "fade": 0.5},
    ],
    ids=["placed and mixed", "resized and floating"],
)
def test_batches_are_made_without_waiting(options: dict[str, float]) -> None:
    table = ImageTable(torch.zeros(16, 12, 12, 3, dtype=torch.uint8), torch.arange(16) % 2)
    data = Batches(table, Augment((0.5,) * 3, (0.2,) * 3, **options), batch_size=8, device=META)
    stream, once = data.epoch(0), data.once(8)
    with Waits() as waits:
        shown = [next(stream), next(stream), next(once)]
    assert waits.found == []
    assert {batch["batch.image"].device for batch in shown} == {META}


def test_a_cached_teacher_is_looked_up_without_waiting(tmp_path) -> None:
    data, teacher = toy_batches(), taught(4)
    platform = Platform(None, torch.device("cpu"), "fp32")
    cache = record(Role("teacher", teacher), ["logits"], data, tmp_path, {}, platform)
    replay = kd(untaught(4), teacher).replace(Replay("teacher", cache)).node("teacher")
    batch = next(data.epoch(0))
    with Waits() as waits:
        given = replay.run(
            {**batch, "batch.index": batch["batch.index"].to(META, non_blocking=True)}
        )
    assert waits.found == []
    assert given["teacher.logits"].device == META
