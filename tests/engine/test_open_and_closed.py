"""Objectives that share networks: opened and closed in any order, copied, moved, resumed."""

import copy
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

import stillhouse as sh
from stillhouse.errors import RunError, WiringError


def net(width: int = 4) -> nn.Module:
    return nn.Sequential(nn.Linear(6, width), nn.ReLU(), nn.Linear(width, 3))


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    made = torch.Generator().manual_seed(0)
    return torch.randn(8, 6, generator=made), torch.arange(8) % 3


@pytest.mark.parametrize("first", [0, 1])
def test_flags_of_a_shared_teacher_are_back_after_the_last(first: int) -> None:
    teacher = net()
    both = [sh.objective("kd", net(), teacher, *batch()) for _ in range(2)]
    both[first].close()
    assert not teacher.training, "the other one still has it"
    assert not any(p.requires_grad for p in teacher.parameters())
    both[1 - first].close()
    assert teacher.training
    assert all(p.requires_grad for p in teacher.parameters())
    teacher.eval()
    both[first].close()
    assert not teacher.training, "a second close changes nothing"


def test_a_stage_that_is_opened_again_closes_what_it_had_open() -> None:
    stage = sh.methods.kd(net(), net())
    before, now = stage.open(*batch()), stage.open(*batch())
    assert torch.isfinite(now(*batch()).loss)
    for closed in (before, before.updates[0]):
        with pytest.raises(WiringError, match="is closed; open the stage again"):
            closed(*batch())


def test_what_cannot_be_copied_says_so_and_what_moves_still_computes() -> None:
    objective = sh.objective("kd", net(), net(), *batch())
    with pytest.raises(WiringError, match=r"save objective\.state_dict"):
        copy.deepcopy(objective)
    image, label = batch()
    before = objective(image, label).loss
    after = objective.to(torch.float64)(image.double(), label).loss
    torch.testing.assert_close(after.float(), before)


def test_a_compiled_network_is_a_network() -> None:
    image, label = batch()
    teacher = net()
    compiled = torch.compile(teacher, backend="eager")
    student = net()
    with sh.objective("kd", student, compiled, image, label) as objective:
        loss = objective(image, label).loss
    with sh.objective("kd", student, teacher, image, label) as objective:
        torch.testing.assert_close(loss, objective(image, label).loss)


def test_a_checkpoint_belongs_to_one_method_and_its_settings(tmp_path: Path) -> None:
    class Stop:
        """After two epochs."""

        def begin(self, *_: object) -> None: ...
        def step(self, _: int) -> None: ...
        def epoch(self, record: dict, _: object) -> None:
            if record["epoch"] == 2:
                raise KeyboardInterrupt

    data, rules = TensorDataset(*batch()), sh.Settings(checkpoint_seconds=0.0)

    def fitted(stage: sh.Stage, **more: object) -> int:
        kept = {"directory": tmp_path, "settings": rules, **more}
        done = sh.fit(stage, data, epochs=3, batch_size=4, **kept)
        return len(done.history)

    with pytest.raises(KeyboardInterrupt):
        fitted(sh.methods.kd(net(), net()), observer=Stop())
    for other in (sh.methods.dkd(net(), net()), sh.methods.kd(net(), net(), temperature=1.0)):
        with pytest.raises(RunError, match="use another directory, or delete the checkpoint"):
            fitted(other)
    assert fitted(sh.methods.kd(net(), net())) == 3


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: sh.methods.kd(None, net()), "student: a network is a torch.nn.Module.*NoneType"),
        (lambda: sh.methods.kd(net(), net, temperature=2.0), "teacher: a network is"),
        (lambda: sh.methods.kd(net(), net(), temperature="x"), "temperature is 'x'; it must be"),
        (lambda: sh.methods.kd(net(), net()).open(batch()), "'image' is tuple; a batch is tensors"),
        (lambda: sh.objective("kd", net(), net(), *batch(), epochs=-3), "epochs|open"),
        (lambda: sh.fit("kd", TensorDataset(*batch())), "a fit trains a stage.*'kd'"),
        (lambda: sh.fit(sh.methods.plain(net()), None), "no training data"),
        (lambda: sh.fit(sh.methods.plain(net()), TensorDataset(*batch()), batch_size=0), "whole"),
    ],
)  # fmt: skip
def test_what_is_none_of_ours_is_told_in_a_sentence(wrong, said: str) -> None:
    with pytest.raises(sh.StillhouseError, match=said):
        wrong()
