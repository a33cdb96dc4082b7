"""Two gloo processes keep one memory, and end as one process does."""

from pathlib import Path

import torch
from ranks import launch
from safetensors.torch import load_file
from torch import Tensor, nn

from stillhouse.data.augment import Augment
from stillhouse.data.batches import Batches
from stillhouse.data.tables import ImageTable
from stillhouse.engine.facts import facts_of
from stillhouse.engine.fit import fit
from stillhouse.engine.optimisers import sgd
from stillhouse.engine.platform import Platform
from stillhouse.engine.trainer import Settings
from stillhouse.methods import crd


def remembered(platform: Platform) -> dict[str, Tensor]:
    """All weights and the memory, trained by this process or its share."""
    made = torch.Generator().manual_seed(0)
    images = torch.randint(0, 255, (32, 6, 6, 1), generator=made).to(torch.uint8)
    table, augment = ImageTable(images, torch.arange(32) % 2), Augment((0.5,), (0.25,), 1, False)
    batches = Batches(table, augment, batch_size=8, rank=platform.rank, world=platform.world)
    torch.manual_seed(0)
    nets = [
        nn.Sequential(nn.Flatten(), nn.Linear(36, width), nn.Tanh(), nn.Linear(width, 2))
        for width in (4, 6)
    ]
    stage = crd(*nets, width=8, negatives=16, weight=0.1).completed(facts_of(batches))
    fitted = fit(
        stage, batches, settings=Settings(epochs=2, seed=5, optimizer=sgd(0.05)), platform=platform
    )
    state = {f"{node}/{key}": v for node, w in fitted.last.items() for key, v in w.items()}
    (loss,) = [term.module for term in stage.terms() if term.module is not None]
    return state | {f"memory/{key}": value for key, value in loss.state_dict().items()}


SCRIPT = """
import sys
from pathlib import Path
import torch
from test_two_processes import remembered
from stillhouse.records.tensors import save_tensors
from stillhouse.engine.platform import open_platform

torch.set_num_threads(1)
platform = open_platform(device="cpu", precision="fp32")
save_tensors(Path(sys.argv[1]) / f"rank{platform.rank}.safetensors", remembered(platform), {})
"""


def test_two_processes_share_the_memory_of_one(platform: Platform, tmp_path: Path) -> None:
    """Sixteen negatives are all rows of the other class, so the draws of a process do not count."""
    launch(2, SCRIPT, tmp_path, beside=Path(__file__).parent)
    one = remembered(platform)
    first, second = (load_file(tmp_path / f"rank{rank}.safetensors") for rank in range(2))
    assert {"memory/student_memory", "memory/log_z", "embedded/weight"} <= one.keys()
    for name, value in one.items():
        assert torch.equal(first[name], second[name]), f"{name} differs between ranks"
        torch.testing.assert_close(first[name], value, atol=1e-5, rtol=1e-5, msg=name)
