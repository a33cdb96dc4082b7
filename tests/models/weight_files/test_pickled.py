"""What lies beside the tensors of a checkpoint: plain values are let through, code never is."""

import argparse
import collections
import datetime
import pathlib
import pickle
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn


class Trap:
    """A pickle that leaves a file behind when someone executes it."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


class Shell:
    """A pickle that calls a shell."""

    def __reduce__(self):
        import os

        return os.system, ("echo never",)


class OwnConfig:
    def __init__(self) -> None:
        self.lr = 0.1


def optimiser() -> dict:
    net = nn.Linear(2, 2)
    made = torch.optim.AdamW(net.parameters())
    net(torch.ones(1, 2)).sum().backward()
    made.step()
    return made.state_dict()


EXTRAS = {
    "argparse": argparse.Namespace(lr=0.1, milestones=[30, 60], name=None),
    "SimpleNamespace": types.SimpleNamespace(epochs=3),
    "numpy scalar": np.float64(93.1),
    "numpy float32": np.float32(0.25),
    "numpy int": np.int64(7),
    "numpy bool": np.bool_(True),
    "numpy array": np.arange(6).reshape(2, 3),
    "numpy words": np.array(["cat", "dog"]),
    "numpy record": np.zeros(2, dtype=[("loss", "f4"), ("epoch", "i8")]),
    "path": pathlib.Path("runs/one"),
    "path of Windows": pathlib.PureWindowsPath("C:/runs"),
    "time": datetime.datetime(2024, 1, 2, 3, 4),
    "span": datetime.timedelta(seconds=5),
    "ordered": collections.OrderedDict(a=1),
    "default": collections.defaultdict(list, loss=[0.5, 0.25]),
    "queue": collections.deque([1, 2], maxlen=4),
    "counter": collections.Counter("aab"),
    "set": {1, 2},
    "frozenset": frozenset((1, 2)),
    "slice": slice(1, 2),
    "range": range(3),
    "complex": 1j,
    "bytes": b"raw",
    "types": {"lr": float, "name": str},
    "version": torch.torch_version.TorchVersion("2.6.0"),
    "size": torch.Size([1, 2]),
    "device": torch.device("cpu"),
    "dtype": torch.bfloat16,
    "random": {"torch": torch.get_rng_state(), "numpy": np.random.get_state()},
    "optimiser": optimiser(),
}


@pytest.mark.parametrize("old", [False, True], ids=["zip", "legacy"])
def test_harmless_values_are_let_through(source, taken, tmp_path, old):
    """All together; where one is refused, its name stands in the message."""
    held = {"epoch": 3, "state_dict": source.state_dict(), **EXTRAS}
    torch.save(held, tmp_path / "w.ckpt", _use_new_zipfile_serialization=not old)
    assert taken(tmp_path / "w.ckpt") == "weights of w.ckpt under 'state_dict'"


def test_harmless_values_are_allowed_for_one_reading_only(source, taken, tmp_path):
    torch.save({"model": source.state_dict(), "args": argparse.Namespace()}, tmp_path / "w.pt")
    before = set(torch.serialization.get_safe_globals())
    taken(tmp_path / "w.pt")
    assert set(torch.serialization.get_safe_globals()) == before
    with pytest.raises(pickle.UnpicklingError):
        torch.load(tmp_path / "w.pt", weights_only=True)


@pytest.mark.parametrize(
    ("module", "name", "base"),
    [
        ("omegaconf.dictconfig", "DictConfig", object),
        ("yacs.config", "CfgNode", dict),
        ("pytorch_lightning.utilities.parsing", "AttributeDict", dict),
        ("easydict", "EasyDict", dict),
    ],
)
def test_configs_of_packages_that_are_absent(
    source, taken, tmp_path, monkeypatch, module, name, base
):
    """Written where the package is, read where it is not."""
    made = type(name, (base,), {"__module__": module})
    config = made()
    config.__dict__["lr"] = 0.1
    if base is dict:
        config["epochs"] = 3
    parts = module.split(".")
    with monkeypatch.context() as patch:
        for at in range(len(parts)):
            path = ".".join(parts[: at + 1])
            patch.setitem(sys.modules, path, types.ModuleType(path))
        setattr(sys.modules[module], name, made)
        torch.save({"state_dict": source.state_dict(), "cfg": config}, tmp_path / "w.ckpt")
    taken(tmp_path / "w.ckpt")


@pytest.mark.parametrize("old", [False, True], ids=["zip", "legacy"])
def test_a_whole_model_is_refused_by_its_name(source, target, refused, tmp_path, old):
    for held in (source, {"epoch": 1, "model": source}):
        torch.save(held, tmp_path / "whole.pt", _use_new_zipfile_serialization=not old)
        said = refused(target, tmp_path / "whole.pt")
        assert "holds a whole pickled model (stillhouse.models.plain.ConvNet)" in said
        assert "torch.save(model.state_dict(), PATH)" in said
        assert "damaged" not in said
    torch.save(nn.Sequential(nn.Linear(2, 2)), tmp_path / "torch.pt")
    assert "whole pickled model (torch.nn.modules" in refused(target, tmp_path / "torch.pt")


@pytest.mark.parametrize("old", [False, True], ids=["zip", "legacy"])
def test_code_is_named_and_never_run(source, target, refused, tmp_path, old):
    mark = tmp_path / "executed"
    cases = {
        "getattr": Trap(mark),
        "posix.system": Shell(),
        "OwnConfig": OwnConfig(),
        "eval": Evaluated(),
    }
    for named, trap in cases.items():
        held = {"state_dict": source.state_dict(), "more": trap}
        torch.save(held, tmp_path / "trap.pt", _use_new_zipfile_serialization=not old)
        said = refused(target, tmp_path / "trap.pt")
        assert "pickled objects that could run code and are never loaded: it names" in said
        assert named in said.partition("it names")[2]
        assert "damaged" not in said
    assert not mark.exists()


class Evaluated:
    def __reduce__(self):
        return eval, ("1 + 1",)


def test_a_plain_pickle_is_never_run(target, refused, tmp_path):
    mark = tmp_path / "executed"
    (tmp_path / "plain.pt").write_bytes(pickle.dumps({"a": Trap(mark), "b": [1.0] * 9}))
    assert "plain pickle that torch.save has not written" in refused(target, tmp_path / "plain.pt")
    assert not mark.exists()


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_other_pickle_protocols_are_read_or_said(source, target, refused, tmp_path, protocol):
    file = tmp_path / "w.pt"
    torch.save(source.state_dict(), file, pickle_protocol=protocol)
    if protocol > 3:
        said = refused(target, file)
        assert f"was written with pickle protocol {protocol}" in said
        assert "damaged" not in said
