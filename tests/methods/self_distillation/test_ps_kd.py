"""PS-KD: a hand-written loop with a dictionary of past predictions; a resume; two processes."""

import copy
from contextlib import suppress
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from ranks import launch
from safetensors.torch import load_file
from tiny import tiny_net
from torch import nn

from stillhouse.data.augment import Augment
from stillhouse.data.batches import Batches
from stillhouse.data.tables import ImageTable
from stillhouse.engine.facts import facts_of
from stillhouse.engine.fit import Silent, fit
from stillhouse.engine.optimisers import constant, sgd
from stillhouse.engine.platform import Platform
from stillhouse.engine.trainer import Settings
from stillhouse.errors import RecipeError, WiringError
from stillhouse.methods import ps_kd

EPOCHS, ALPHA = 4, 0.8


def ragged(table: ImageTable, **more: int) -> Batches:
    """Forty rows in batches of twelve: four rows are left out of each epoch."""
    augment = Augment((0.5,) * 3, (0.25,) * 3, crop=1, flip=True)
    return Batches(table, augment, batch_size=12, **more)


def test_it_equals_a_hand_written_loop(table: ImageTable, platform: Platform) -> None:
    train, student = ragged(table), tiny_net(4, 1)
    net = copy.deepcopy(student).train()
    optimizer = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9, weight_decay=5e-4)
    past: dict[int, torch.Tensor] = {}
    done, ages = 0, set()
    last: dict[int, int] = {}
    for epoch in range(EPOCHS):
        for batch in train.epoch(epoch):
            a = ALPHA * done / (EPOCHS * len(train))
            log_p = F.log_softmax(net(batch["batch.image"]), 1)
            loss = 0.0
            rows = zip(batch["batch.index"].tolist(), batch["batch.label"], log_p, strict=True)
            for row, label, mine in rows:
                hard = F.one_hot(label, 3).float()
                target = (1 - a) * hard + a * past.get(row, hard)
                loss = loss - (target * mine).sum() / 12
                past[row] = mine.detach().exp()
                ages.add(epoch - last.get(row, epoch))
                last[row] = epoch
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            done += 1
    assert ages == {0, 1, 2, 3}, "some rows are older than an epoch, some are new"
    settings = Settings(EPOCHS, optimizer=sgd(0.1), schedule=constant(), channels_last=False)
    fit(ps_kd(student, alpha=ALPHA), train, settings=settings, platform=platform)
    for (name, a), b in zip(student.state_dict().items(), net.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5, msg=name)


class Stop(Exception):  # noqa: N818
    pass


class Stopping(Silent):
    def __init__(self, at: int) -> None:
        self.at = at

    def step(self, images: int) -> None:
        self.at -= 1
        if not self.at:
            raise Stop


def test_a_resume_amid_an_epoch_gives_the_same_bits(
    table: ImageTable, platform: Platform, tmp_path: Path
) -> None:
    def run(**more: object):
        settings = Settings(4, checkpoint_seconds=0.0)
        return fit(
            ps_kd(tiny_net(4, 1)), ragged(table), settings=settings, platform=platform, **more
        ).last

    whole = run()
    with suppress(Stop):
        run(directory=tmp_path, observer=Stopping(8))
    resumed = run(directory=tmp_path)
    for name, value in whole["student"].items():
        assert torch.equal(value, resumed["student"][name]), name


def test_it_leaves_the_student_as_it_was_until_it_trains(train: Batches) -> None:
    student = tiny_net(4, 1).train()
    before = copy.deepcopy(student.state_dict())
    whole = ps_kd(student).completed(facts_of(train))
    assert student.training
    assert all(torch.equal(value, before[name]) for name, value in student.state_dict().items())
    memory = list(whole.terms())[1].module
    assert [tuple(buffer.shape) for buffer in memory.buffers()] == [(40, 3), (40,)]


def test_what_it_cannot_do_is_told(train: Batches) -> None:
    with pytest.raises(RecipeError, match=r"alpha is 1\.5; it must be at most 1"):
        ps_kd(tiny_net(), alpha=1.5)
    with pytest.raises(WiringError, match=r"gives no logits \[B, classes\]"):
        ps_kd(nn.Conv2d(3, 3, 1)).completed(facts_of(train))


SCRIPT = """
import sys
from pathlib import Path
import torch
from test_ps_kd import NormFree, facts_of, fit, ps_kd, ragged, Settings, ImageTable
from stillhouse.records.files import save_tensors
from stillhouse.engine.platform import open_platform

torch.set_num_threads(1)
platform = open_platform(device="cpu", precision="fp32")
made = torch.Generator().manual_seed(0)
table = ImageTable(torch.randint(0, 255, (40, 8, 8, 3), generator=made).to(torch.uint8),
                   torch.arange(40) % 3)
torch.manual_seed(0)
batches = ragged(table, rank=platform.rank, world=platform.world)
stage = ps_kd(NormFree(), alpha=1.0).completed(facts_of(batches))
last = fit(stage, batches, settings=Settings(4, seed=5), platform=platform).last["student"]
said = list(stage.terms())[1].module.said
out = Path(sys.argv[1]) / f"rank{platform.rank}of{platform.world}.safetensors"
save_tensors(out, {**last, "said": said}, {})
"""


class NormFree(nn.Module):
    """No batch norm: its statistics are those of the local batch, which two processes halve."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=2)
        self.fc = nn.Linear(4, 3)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.fc(torch.relu(self.conv(image)).mean((2, 3)))


def test_two_processes_remember_what_each_of_them_saw(tmp_path: Path) -> None:
    """In another epoch a row is another process's: both must know all rows."""
    for world in (1, 2):
        launch(world, SCRIPT, tmp_path, beside=Path(__file__).parent)
    one = load_file(tmp_path / "rank0of1.safetensors")
    for rank in range(2):
        for name, value in load_file(tmp_path / f"rank{rank}of2.safetensors").items():
            torch.testing.assert_close(value, one[name], atol=1e-5, rtol=1e-5, msg=name)
