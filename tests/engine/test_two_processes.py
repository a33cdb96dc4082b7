"""Two gloo processes give what one gives, bridges included."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from ranks import launch
from safetensors.torch import load_file
from torch import nn

SCRIPT = """
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
import torch
from test_two_processes import make_stage
from stillhouse.data.augment import Augment
from stillhouse.data.batches import Batches
from stillhouse.data.tables import ImageTable
from stillhouse.records.tensors import save_tensors
from stillhouse.engine.fit import fit
from stillhouse.engine.optimisers import sgd
from stillhouse.engine.platform import open_platform
from stillhouse.engine.trainer import Settings

torch.set_num_threads(1)
platform = open_platform(device="cpu", precision="fp32")
made = torch.Generator().manual_seed(0)
labels = torch.arange(50) % 3
images = torch.randint(0, 255, (50, 8, 8, 3), generator=made).to(torch.uint8)
batches = Batches(ImageTable(images, labels), Augment((.5,)*3, (.25,)*3, 1, True), batch_size=8,
                  rank=platform.rank, world=platform.world)
kind, _, how = sys.argv[2].partition(" ")
stage = make_stage(kind)
if how == "cached":
    from stillhouse.cache import Replay, record
    sys.modules["stillhouse.cache.record"].ROWS_PER_SHARD = 8
    batches = replace(batches, views=2)
    folder = Path(sys.argv[1]) / f"cached-by-{platform.world}"
    made = record(stage.role("teacher"), ["logits"], batches, folder, {}, platform,
                  shapes={"embedding": (6,)})
    stage = stage.replace(Replay("teacher", made))
settings = Settings(epochs=3, seed=5, optimizer=sgd(0.05), accumulate=int(sys.argv[3]))
if how == "patient":
    settings = replace(settings, epochs=6, optimizer=sgd(1e-9), patience=1)
if how == "balanced":
    from stillhouse.engine.balance import balanced
    stage = balanced(stage, batches, settings, platform, batches=2)
if how == "stopped":
    from stillhouse.engine.observer import NullObserver

    class Stopping(NullObserver):
        steps = 0
        def step(self, images):
            self.steps += 1
            if self.steps == 8:  # amid the second epoch
                raise InterruptedError
    known = {"directory": Path(sys.argv[1]) / "fit" if platform.world > 1 else None}
    settings = replace(settings, checkpoint_seconds=0.0)
    if platform.world > 1:
        with suppress(InterruptedError):
            fit(make_stage(kind), batches, settings=settings, platform=platform,
                validation=batches, observer=Stopping(), **known)
        assert (known["directory"] / "checkpoint.pt").exists()
        platform.wait()
else:
    known = {}
fitted = fit(stage, batches, settings=settings, platform=platform, validation=batches, **known)
state = {f"{node}/{key}": v for node, w in fitted.last.items() for key, v in w.items()}
state["accuracy"] = torch.tensor(fitted.history[-1]["validation"]["student"]["accuracy"])
state["loss"] = torch.tensor(fitted.history[-1]["loss"])
state["epochs"] = torch.tensor(len(fitted.history))
state["weights"] = torch.tensor([term.weight_at(0.0) for term in stage.terms()])
if "diagnostics" in fitted.history[-1]:
    state["diagnosed rows"] = torch.tensor(fitted.history[-1]["diagnostics"]["rows"])
save_tensors(Path(sys.argv[1]) / f"rank{platform.rank}of{platform.world}.safetensors", state, {})
"""


class NormFree(nn.Module):
    """No batch norm: its statistics are those of the local batch, which two processes halve."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, width, 3, stride=2)
        self.fc = nn.Linear(width, 3)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.fc(torch.relu(self.conv(image)).mean((2, 3)))


def make_stage(kind: str):
    """th_kd with a bridge between widths; or a feature term alone, so that the head is unused."""
    from stillhouse.engine.diagnostics import Diagnostic
    from stillhouse.engine.nodes import Bridge, Role
    from stillhouse.engine.stage import Stage, Update
    from stillhouse.engine.terms import Term
    from stillhouse.functional import mse
    from stillhouse.methods import th_kd

    torch.manual_seed(0)
    student, teacher = NormFree(4), NormFree(6)
    if kind == "th_kd":
        stage = th_kd(student, teacher, form="paper", alpha=0.4)
        diagnostics = [Diagnostic("rows", lambda index: index, ("batch.index",))]
        return replace(stage, measures={"student": "student.logits"}, diagnostics=diagnostics)
    projected = Bridge.sized(
        "projected",
        lambda s, t: nn.Linear(s[1], t[1]),
        "student.embedding",
        by=["student.embedding", "teacher.embedding"],
    )
    term = Term("hint", mse, ["projected", "teacher.embedding"])
    nodes = [Role("student", student), Role("teacher", teacher), projected]
    return Stage("hint", nodes, [Update(["student", "projected"], [term])])


def run(out: Path, kind: str, world: int, accumulate: int = 1) -> None:
    launch(world, SCRIPT, out, kind, accumulate, beside=Path(__file__).parent)


def compare(out: Path) -> None:
    one = load_file(out / "rank0of1.safetensors")
    first, second = (load_file(out / f"rank{rank}of2.safetensors") for rank in range(2))
    assert any(key.startswith(("matched/", "projected/")) for key in one)
    for name, value in one.items():
        if name == "diagnosed rows":  # each process sees its own share of the rows, in order
            assert torch.equal(first[name], value[::2])
            assert torch.equal(second[name], value[1::2])
            continue
        if not name.startswith(("accuracy", "loss")):
            assert torch.equal(first[name], second[name]), f"{name} differs between ranks"
        torch.testing.assert_close(first[name], value, atol=1e-5, rtol=1e-5, msg=name)


def test_two_processes_equal_one_with_a_bridge(tmp_path: Path) -> None:
    run(tmp_path, "th_kd", 1)
    run(tmp_path, "th_kd", 2)
    compare(tmp_path)


def test_two_processes_equal_one_when_the_head_is_unused(tmp_path: Path) -> None:
    """A feature-only loss leaves the head without gradients, which stopped peers in step two."""
    run(tmp_path, "hint", 1, accumulate=2)
    run(tmp_path, "hint", 2, accumulate=2)
    compare(tmp_path)


def test_two_processes_record_half_each_and_serve_the_same(tmp_path: Path) -> None:
    run(tmp_path, "th_kd cached", 1)
    run(tmp_path, "th_kd cached", 2)
    compare(tmp_path)
    by_one, by_two = (
        {path.name[:22] for path in tmp_path.glob(f"cached-by-{world}/*/view-*")}
        for world in (1, 2)
    )
    assert len(by_one) == 14  # two views of seven shards: each is there once
    assert by_one == by_two


def test_two_processes_that_were_stopped_go_on(tmp_path: Path) -> None:
    """From the checkpoint of the main process, which each reads onto its own device."""
    run(tmp_path, "th_kd stopped", 1)
    run(tmp_path, "th_kd stopped", 2)
    compare(tmp_path)


@pytest.mark.slow
def test_two_processes_lose_patience_together(tmp_path: Path) -> None:
    """At a rate that moves nothing the first epoch stays the best."""
    run(tmp_path, "th_kd patient", 1)
    run(tmp_path, "th_kd patient", 2)
    compare(tmp_path)
    assert load_file(tmp_path / "rank1of2.safetensors")["epochs"] == 2


def test_two_processes_weigh_terms_as_one_does(tmp_path: Path) -> None:
    """By the gradient of the whole batch, not each by that of its own rows."""
    run(tmp_path, "th_kd balanced", 1)
    run(tmp_path, "th_kd balanced", 2)
    compare(tmp_path)
    one = load_file(tmp_path / "rank0of1.safetensors")["weights"]
    assert len(one) > 1
    assert one[0] == 1.0
