"""Killed at any moment and started again, a run ends with the very same bits."""

import os
import random
import time
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import torch
from ranks import start
from safetensors.torch import load_file

KILLS, STEPS = 6, 48

SCRIPT = """
import sys, time
from pathlib import Path
import torch
from tiny import tiny_net
from stillhouse.data.augment import Augment
from stillhouse.data.batches import Batches
from stillhouse.data.tables import ImageTable
from stillhouse.records.tensors import save_tensors
from stillhouse.engine.fit import fit
from stillhouse.engine.observer import NullObserver
from stillhouse.engine.nodes import Ema, Role
from stillhouse.engine.optimisers import sgd
from stillhouse.engine.schedules import one_cycle
from stillhouse.engine.platform import open_platform
from stillhouse.engine.stage import Stage
from stillhouse.engine.trainer import Settings
from stillhouse.methods import th_kd

out, step_seconds = Path(sys.argv[1]), float(sys.argv[2])
torch.set_num_threads(1)
made = torch.Generator().manual_seed(0)
labels = torch.arange(64) % 3
images = torch.randint(0, 255, (64, 8, 8, 3), generator=made).to(torch.uint8)
augment = Augment((.5,)*3, (.25,)*3, flip=True, resized_crop=0.3, trivial=True, hue=0.1, erase=0.5)
batches = Batches(ImageTable(images, labels), augment, batch_size=8)
student, teacher = tiny_net(4, 1, dropout=0.3), tiny_net(6, 2)
stage = th_kd(student, teacher, form="paper", alpha=0.3)
mean = Ema("mean", stage.role("student"), decay=0.9)
stage = Stage(stage.name, [*stage.nodes, mean], stage.updates, stage.measures)

class Slow(NullObserver):
    def step(self, images):
        time.sleep(step_seconds)
        print("step", flush=True)

settings = Settings(epochs=6, seed=5, optimizer=sgd(0.1), schedule=one_cycle(),
                    checkpoint_seconds=0.02)
fitted = fit(stage, batches, settings=settings,
    platform=open_platform(device="cpu", precision="fp32"),
             validation=batches, directory=out, identity="x", observer=Slow())
state = {f"{which}/{node}/{key}": value for which in ("last", "best")
         for node, weights in getattr(fitted, which).items() for key, value in weights.items()}
save_tensors(out / "end.safetensors", state, {})
"""


def fit_anew(out: Path, step_seconds: float) -> tuple[BaseProcess, Connection]:
    """A process that fits, and one message for each of its steps."""
    steps, told = Pipe(duplex=False)
    process = start(SCRIPT, out, step_seconds, out=told)
    told.close()
    return process, steps


def count(steps: Connection) -> int:
    done = 0
    with suppress(EOFError):
        while steps.recv():
            done += 1
    return done


def test_killed_at_random_steps_then_resumed_gives_the_same_bits(tmp_path: Path) -> None:
    whole, steps = fit_anew(tmp_path / "whole", 0.0)
    whole.join()
    assert whole.exitcode == 0
    assert count(steps) == STEPS
    choose = random.Random(0)
    for _ in range(KILLS):
        run, steps = fit_anew(tmp_path / "killed", 0.01)
        for _ in range(choose.randint(2, 11)):
            steps.recv()
        time.sleep(choose.random() * 0.03)  # anywhere in a step, also while a file is written
        run.kill()
        run.join()
        assert not (tmp_path / "killed" / "end.safetensors").exists(), "killed too late"
    last, steps = fit_anew(tmp_path / "killed", 0.0)
    last.join()
    assert last.exitcode == 0
    assert 0 < count(steps) < STEPS, "it went on from a checkpoint rather than from the start"
    mine = load_file(tmp_path / "killed" / "end.safetensors")
    theirs = load_file(tmp_path / "whole" / "end.safetensors")
    assert mine.keys() == theirs.keys()
    assert any(key.startswith("last/mean/") for key in mine)
    for name in mine:
        assert torch.equal(mine[name], theirs[name]), name
    for part in ("killed", "whole"):
        lines = (tmp_path / part / "metrics.jsonl").read_text().splitlines()
        assert len(lines) == 6, "one line of metrics per epoch, none lost and none twice"


@pytest.mark.parametrize("damage", ["truncate", "flip", "empty", "unsigned", "other"])
def test_a_damaged_or_foreign_checkpoint_is_refused(damage: str, tmp_path: Path) -> None:
    from stillhouse.engine.checkpoint import Checkpoint
    from stillhouse.errors import RunError

    checkpoint = Checkpoint(tmp_path / "checkpoint.pt", "mine")
    checkpoint.save({"x": torch.ones(3)})
    state = checkpoint.load(torch.device("cpu"))
    assert state is not None
    assert torch.equal(state["x"], torch.ones(3))
    whole, said = (
        checkpoint.path.read_bytes(),
        r"checkpoint\.pt is damaged.*delete it, and the same",
    )
    if damage == "flip":  # every byte of a checkpoint counts
        for at in range(0, len(whole), 11):
            checkpoint.path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
            with pytest.raises(RunError, match=said):
                checkpoint.load(torch.device("cpu"))
    elif damage != "other":
        held = {"truncate": whole[:-1], "empty": b"", "unsigned": whole[:-85]}[damage]
        checkpoint.path.write_bytes(held)
        with pytest.raises(RunError, match=said):
            checkpoint.load(torch.device("cpu"))
    else:
        with pytest.raises(RunError, match="identity 'mine', this run has 'theirs'"):
            Checkpoint(checkpoint.path, "theirs").load(torch.device("cpu"))


def test_a_checkpoint_never_runs_code(tmp_path: Path) -> None:
    from stillhouse.engine.checkpoint import Checkpoint
    from stillhouse.errors import RunError
    from stillhouse.records.checked import add_checksum

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, (f"touch {tmp_path}/ran",)

    torch.save({"format": 1, "identity": "mine", "x": Evil()}, tmp_path / "checkpoint.pt")
    add_checksum(tmp_path / "checkpoint.pt")
    with pytest.raises(RunError, match=r"is damaged: UnpicklingError"):
        Checkpoint(tmp_path / "checkpoint.pt", "mine").load(torch.device("cpu"))
    assert not (tmp_path / "ran").exists()
