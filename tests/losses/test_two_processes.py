"""Two gloo processes keep one memory, and end as one process does."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

SCRIPT = """
import sys
from pathlib import Path
import torch
from torch import nn
from stillhouse.data.augment import Augment
from stillhouse.data.batches import Batches
from stillhouse.data.tables import ImageTable
from stillhouse.engine.files import save_tensors
from stillhouse.engine.fit import fit
from stillhouse.engine.optimisers import sgd
from stillhouse.engine.platform import open_platform
from stillhouse.engine.trainer import Settings
from stillhouse.methods import crd

torch.set_num_threads(1)
platform = open_platform(device="cpu", precision="fp32")
made = torch.Generator().manual_seed(0)
labels = torch.arange(32) % 2
images = torch.randint(0, 255, (32, 6, 6, 1), generator=made).to(torch.uint8)
batches = Batches(ImageTable(images, labels), Augment((.5,), (.25,), 1, False), batch_size=8,
                  rank=platform.rank, world=platform.world)
torch.manual_seed(0)
nets = [nn.Sequential(nn.Flatten(), nn.Linear(36, w), nn.Tanh(), nn.Linear(w, 2)) for w in (4, 6)]
stage = crd(*nets, width=8, negatives=16, weight=0.1).completed(batches)
fitted = fit(stage, batches, Settings(epochs=2, seed=5, optimizer=sgd(0.05)), platform)
state = {f"{node}/{key}": v for node, w in fitted.last.items() for key, v in w.items()}
(loss,) = [term.module for term in stage.terms() if term.module is not None]
state |= {f"memory/{key}": value for key, value in loss.state_dict().items()}
save_tensors(Path(sys.argv[1]) / f"rank{platform.rank}of{platform.world}.safetensors", state, {})
"""


def launch(out: Path, world: int) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    source = str(Path(__file__).parents[2] / "src")  # of this checkout, whichever is installed
    common = {
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), source]),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
    }
    alone = {} if world == 1 else {"WORLD_SIZE": str(world), "LOCAL_WORLD_SIZE": str(world)}
    ranks = [{} if world == 1 else {"RANK": str(r), "LOCAL_RANK": str(r)} for r in range(world)]
    command = [sys.executable, "-c", SCRIPT, str(out)]
    running = [subprocess.Popen(command, env={**os.environ, **common, **alone, **r}) for r in ranks]
    assert [process.wait(timeout=120) for process in running] == [0] * world


def test_two_processes_share_the_memory_of_one(tmp_path: Path) -> None:
    """Sixteen negatives are all rows of the other class, so the draws of a process do not count."""
    launch(tmp_path, 1)
    launch(tmp_path, 2)
    one = load_file(tmp_path / "rank0of1.safetensors")
    first, second = (load_file(tmp_path / f"rank{rank}of2.safetensors") for rank in range(2))
    assert {"memory/student_memory", "memory/log_z", "embedded/weight"} <= one.keys()
    for name, value in one.items():
        assert torch.equal(first[name], second[name]), f"{name} differs between ranks"
        torch.testing.assert_close(first[name], value, atol=1e-5, rtol=1e-5, msg=name)
