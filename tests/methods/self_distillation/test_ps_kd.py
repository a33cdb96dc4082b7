"""PS-KD: the loop by hand with its past predictions; a resume; two processes."""

import copy
from contextlib import suppress
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from by_hand import Batch, Nets, equals_by_hand, of_tiny, same
from ranks import launch
from safetensors.torch import load_file
from tiny import tiny_net
from torch import Tensor, nn

from stillhouse.data.augment import Augment
from stillhouse.data.batches import Batches
from stillhouse.data.tables import ImageTable
from stillhouse.engine.facts import facts_of
from stillhouse.engine.fit import fit
from stillhouse.engine.platform import Platform
from stillhouse.engine.trainer import Settings
from stillhouse.errors import WiringError
from stillhouse.methods import ps_kd
from stillhouse.testing.method_trial import FitStopped, StopAtStep

EPOCHS, ALPHA = 4, 0.8


def ragged(table: ImageTable, **more: int) -> Batches:
    """Forty rows in batches of twelve: four rows are left out of each epoch."""
    augment = Augment((0.5,) * 3, (0.25,) * 3, crop=1, flip=True)
    return Batches(table, augment, batch_size=12, **more)


def test_it_equals_a_loop_by_hand(table: ImageTable) -> None:
    train = ragged(table)
    ages: set[int] = set()
    last: dict[int, int] = {}

    def objective(nets: Nets, batch: Batch, epoch: float) -> Tensor:
        a = ALPHA * epoch / EPOCHS
        log_p = of_tiny(nets["student"], batch)[2].log_softmax(1)
        past, loss = nets["past"], 0.0
        rows = zip(batch["batch.index"].tolist(), batch["batch.label"], log_p, strict=True)
        for row, label, mine in rows:
            hard = F.one_hot(label, 3).float()
            target = (1 - a) * hard + a * (past.said[row].clone() if row in last else hard)
            loss = loss - (target * mine).sum() / 12
            past.said[row], past.seen[row] = mine.detach().exp(), True
            ages.add(int(epoch) - last.get(row, int(epoch)))
            last[row] = int(epoch)
        return loss

    equals_by_hand(ps_kd(tiny_net(4, 1), alpha=ALPHA), train, objective, epochs=EPOCHS)
    assert ages == {0, 1, 2, 3}, "some rows are older than an epoch, some are new"


def test_a_resume_amid_an_epoch_gives_the_same_bits(
    table: ImageTable, platform: Platform, tmp_path: Path
) -> None:
    def run(**more: object):
        settings = Settings(4, checkpoint_seconds=0.0)
        return fit(
            ps_kd(tiny_net(4, 1)), ragged(table), settings=settings, platform=platform, **more
        ).last

    whole = run()
    with suppress(FitStopped):
        run(directory=tmp_path, observer=StopAtStep(8))
    resumed = run(directory=tmp_path)
    for name, value in whole["student"].items():
        assert torch.equal(value, resumed["student"][name]), name


def test_it_leaves_the_student_as_it_was_until_it_trains(train: Batches) -> None:
    student = tiny_net(4, 1).train()
    before = copy.deepcopy(student)
    whole = ps_kd(student).completed(facts_of(train))
    assert student.training
    same(student, before)
    memory = list(whole.terms())[1].module
    assert [tuple(buffer.shape) for buffer in memory.buffers()] == [(40, 3), (40,)]


def test_a_student_without_logits_is_told(train: Batches) -> None:
    with pytest.raises(WiringError, match=r"gives no logits \[B, classes\]"):
        ps_kd(nn.Conv2d(3, 3, 1)).completed(facts_of(train))


class NormFree(nn.Module):
    """No batch norm: its statistics are those of the local batch, which two processes halve."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=2)
        self.fc = nn.Linear(4, 3)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.fc(torch.relu(self.conv(image)).mean((2, 3)))


def remembered(platform: Platform) -> dict[str, Tensor]:
    """The student's weights and what is remembered, trained by this process or its share."""
    made = torch.Generator().manual_seed(0)
    images = torch.randint(0, 255, (40, 8, 8, 3), generator=made).to(torch.uint8)
    table = ImageTable(images, torch.arange(40) % 3)
    torch.manual_seed(0)
    batches = ragged(table, rank=platform.rank, world=platform.world)
    stage = ps_kd(NormFree(), alpha=1.0).completed(facts_of(batches))
    last = fit(stage, batches, settings=Settings(4, seed=5), platform=platform).last["student"]
    return {**last, "said": list(stage.terms())[1].module.said}


SCRIPT = """
import sys
from pathlib import Path
import torch
from test_ps_kd import remembered
from stillhouse.records.tensors import save_tensors
from stillhouse.engine.platform import open_platform

torch.set_num_threads(1)
platform = open_platform(device="cpu", precision="fp32")
save_tensors(Path(sys.argv[1]) / f"rank{platform.rank}.safetensors", remembered(platform), {})
"""


def test_two_processes_remember_what_each_of_them_saw(platform: Platform, tmp_path: Path) -> None:
    """In another epoch a row is another process's: both must know all rows."""
    launch(2, SCRIPT, tmp_path, beside=Path(__file__).parent)
    one = remembered(platform)
    for rank in range(2):
        for name, value in load_file(tmp_path / f"rank{rank}.safetensors").items():
            torch.testing.assert_close(value, one[name], atol=1e-5, rtol=1e-5, msg=name)
