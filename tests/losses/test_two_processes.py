"""Two gloo processes keep one memory, and end as one process does."""

from pathlib import Path

import torch
from ranks import launch
from safetensors.torch import load_file

SCRIPT = """
import sys
from pathlib import Path
import torch
from torch import nn
from stillhouse.engine.facts import facts_of
from stillhouse.data.augment import Augment
from stillhouse.data.batches import Batches
from stillhouse.data.tables import ImageTable
from stillhouse.records.files import save_tensors
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
stage = crd(*nets, width=8, negatives=16, weight=0.1).completed(facts_of(batches))
fitted = fit(stage, batches, settings=Settings(epochs=2, seed=5, optimizer=sgd(0.05)),
             platform=platform)
state = {f"{node}/{key}": v for node, w in fitted.last.items() for key, v in w.items()}
(loss,) = [term.module for term in stage.terms() if term.module is not None]
state |= {f"memory/{key}": value for key, value in loss.state_dict().items()}
save_tensors(Path(sys.argv[1]) / f"rank{platform.rank}of{platform.world}.safetensors", state, {})
"""


def test_two_processes_share_the_memory_of_one(tmp_path: Path) -> None:
    """Sixteen negatives are all rows of the other class, so the draws of a process do not count."""
    launch(1, SCRIPT, tmp_path)
    launch(2, SCRIPT, tmp_path)
    one = load_file(tmp_path / "rank0of1.safetensors")
    first, second = (load_file(tmp_path / f"rank{rank}of2.safetensors") for rank in range(2))
    assert {"memory/student_memory", "memory/log_z", "embedded/weight"} <= one.keys()
    for name, value in one.items():
        assert torch.equal(first[name], second[name]), f"{name} differs between ranks"
        torch.testing.assert_close(first[name], value, atol=1e-5, rtol=1e-5, msg=name)
