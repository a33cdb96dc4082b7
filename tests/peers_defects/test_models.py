"""Defects found by running other toolkits, of models: taps, adapters, files of students."""

import contextlib
import copy
import io
import pickle
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny import tiny_net
from torch import Tensor, nn

from stillhouse.data.batches import Batches
from stillhouse.engine.fit import fit
from stillhouse.engine.nodes import Role
from stillhouse.engine.platform import Platform
from stillhouse.engine.stage import Stage, Update
from stillhouse.engine.taps import Taps
from stillhouse.engine.terms import Term
from stillhouse.engine.trainer import Settings
from stillhouse.errors import WiringError
from stillhouse.functional import cross_entropy, mse
from stillhouse.methods import kd
from stillhouse.records.tensors import save_tensors


def bits(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(mine: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> bool:
    return mine.keys() == theirs.keys() and all(torch.equal(mine[k], theirs[k]) for k in mine)


def test_a_hook_added_after_the_first_compiled_call_never_gives_none() -> None:
    """The same suite: such a hook was silently skipped, and the loss got None.

    Here taps are set before a stage compiles; one that comes too late works or is an error.
    """
    model = tiny_net(4, 1)
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    image = torch.randn(2, 3, 8, 8)
    compiled(image)
    with Taps(model, ["bn", "fc:in"], who="student") as taps:
        compiled(image)
        heard: Mapping[str, object] = {}
        with contextlib.suppress(WiringError):
            heard = taps.collect()
        assert all(isinstance(value, Tensor) for value in heard.values())


def test_taps_set_before_compiling_hear_each_step_anew() -> None:
    """A tracing toolkit filled its record lazily: a stale or missing tensor after a recompile."""
    model = tiny_net(4, 1).eval()
    untapped = copy.deepcopy(model)
    with Taps(model, ["bn", "fc:in"], who="student") as taps:
        torch.compiler.reset()
        compiled = torch.compile(model, backend="eager", fullgraph=True)
        for seed in range(3):
            image = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
            compiled(image)
            heard = taps.collect()
            torch.testing.assert_close(heard["bn"], untapped.bn(untapped.conv(image)))
        with pytest.raises(WiringError, match="did not run in this step"):
            taps.collect()


def test_any_depth_of_a_plain_module_can_be_tapped() -> None:
    """A toolkit for text: its path of custom layers had a typo that no test ever met."""
    deep = nn.ModuleDict({"attention": nn.ModuleDict({"self_value": nn.Identity()})})

    class Deep(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = nn.ModuleList([deep])

        def forward(self, image: Tensor) -> Tensor:
            return self.encoder[0]["attention"]["self_value"](image) * 2

    role = Role("student", Deep())
    tap = "encoder.0.attention.self_value"
    role.open([tap])
    given = role.run({"batch.image": torch.ones(1)})
    role.close()
    assert given[f"student.{tap}"].item() == 1.0
    assert given["student.logits"].item() == 2.0


class Bare(nn.Module):
    """No num_classes, no feature list, no configuration: only a forward."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(192, 5), nn.Linear(5, 3)])

    def forward(self, x: Tensor) -> Tensor:
        return self.layers[1](torch.relu(self.layers[0](x.flatten(1))))


def test_a_plain_module_needs_no_attributes(train: Batches, platform: Platform) -> None:
    """A model zoo: a module without num_classes, pretrained_cfg and forward_head was refused."""
    hint = Term("hint", mse, ["student.layers.0", "teacher.layers.0"])
    label = Term("label", cross_entropy, ["student.logits", "batch.label"])
    nodes = [Role("student", Bare()), Role("teacher", Bare())]
    fitted = fit(
        Stage("s", nodes, [Update("student", [label, hint])]),
        train,
        settings=Settings(epochs=1),
        platform=platform,
    )
    assert set(fitted.history[0]["terms"]) == {"label", "hint"}


def test_the_students_file_holds_the_student_and_nothing_else(
    train: Batches, platform: Platform, tmp_path: Path
) -> None:
    """Most peers: teacher and student in one file, under a prefix; it had to be cut out."""
    student, teacher = tiny_net(4, 1), tiny_net(64, 2)
    fitted = fit(
        kd(student, teacher),
        train,
        settings=Settings(epochs=1),
        platform=platform,
        directory=tmp_path,
    )
    save_tensors(tmp_path / "student.safetensors", fitted.last["student"], {})
    saved = load_file(tmp_path / "student.safetensors")
    assert saved.keys() == student.state_dict().keys()
    bare = tiny_net(4, 5)
    bare.load_state_dict(saved, strict=True)
    assert same(bits(bare), bits(student))


def test_the_checkpoint_holds_no_weights_of_the_teacher(
    train: Batches, platform: Platform, tmp_path: Path
) -> None:
    """A checkpoint of a small student must not be as large as its teacher."""
    settings = Settings(epochs=2, checkpoint_seconds=0.0)
    fit(
        kd(tiny_net(4, 1), tiny_net(20_000, 2)),
        train,
        settings=settings,
        platform=platform,
        directory=tmp_path,
    )
    saved = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert set(saved["nodes"]) == {"student"}
    assert (tmp_path / "checkpoint.pt").stat().st_size < 100_000


def test_the_student_is_an_ordinary_module_during_and_after_a_stage(
    train: Batches, platform: Platform
) -> None:
    """A detector toolkit pickled its wrapper and hooks: export and prediction crashed on it."""
    student, teacher = tiny_net(4, 1), tiny_net(4, 2)
    hint = Term("hint", mse, ["student.bn", "teacher.bn"])
    nodes = [Role("student", student), Role("teacher", teacher)]
    kinds = {name: type(part) for name, part in student.named_modules()}
    fit(
        Stage("hint", nodes, [Update("student", [hint])]),
        train,
        settings=Settings(epochs=1),
        platform=platform,
    )
    assert {name: type(part) for name, part in student.named_modules()} == kinds
    assert same(bits(pickle.loads(pickle.dumps(student))), bits(student))
    whole = io.BytesIO()
    torch.save(copy.deepcopy(student), whole)
    assert "stillhouse" not in whole.getvalue().decode("latin1")


def test_the_command_is_in_the_package() -> None:
    """Two peers leave their training script out of the wheel: it must be copied from a checkout."""
    (command,) = entry_points(group="console_scripts", name="stillhouse")
    assert command.value.startswith("stillhouse.")
    assert callable(command.load())
