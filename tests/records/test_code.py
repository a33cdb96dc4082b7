"""A transform or a network that does something else has another identity; nothing else has."""

import functools
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from stillhouse.records.code import code_identity, module_identity

LEVEL = 1.0


def scale(image, by: float = 1.0):
    return image * by


def by_closure(by: float):
    return lambda image: image * by


def by_default(by: float):
    def scaled(image, factor=by):
        return image * factor

    return scaled


class Scale:
    def __init__(self, by) -> None:
        self.by = by
        self.me = self  # a circle must not be walked for ever

    def __call__(self, image):
        return image * self.by

    def method(self, image):
        return image * self.by


class Slotted:
    __slots__ = ("by",)

    def __init__(self, by: float) -> None:
        self.by = by


class Chain:
    """Like the chains of transform libraries: it describes its parts in its own words."""

    def __init__(self, *parts) -> None:
        self.parts = list(parts)

    def __repr__(self) -> str:
        return "Chain(...)"


@pytest.mark.parametrize(
    "make",
    [
        lambda by: functools.partial(scale, by=by),
        by_closure,
        by_default,
        Scale,
        Slotted,
        lambda by: Scale(by).method,
        lambda by: Scale(torch.tensor(by)),
        lambda by: Scale(np.full(5000, by)),
        lambda by: Chain(Scale(by)),
        lambda by: Chain(by_closure(by)),
        lambda by: Chain(Chain(functools.partial(scale, by=by))),
    ],
)
def test_a_setting_is_seen_wherever_it_is(make) -> None:
    assert code_identity(make(0.5)) == code_identity(make(0.5))
    assert code_identity(make(0.5)) != code_identity(make(1.0))


def test_constants_and_functions_of_its_module_are_seen(monkeypatch) -> None:
    def level(image):
        return scale(image, LEVEL)

    before = code_identity(level)
    with monkeypatch.context() as changed:
        changed.setitem(globals(), "LEVEL", 2.0)
        assert code_identity(level) != before
    with monkeypatch.context() as changed:
        changed.setitem(globals(), "scale", lambda image, by: image / by)
        assert code_identity(level) != before
    assert code_identity(level) == before


SCRIPT = """
from stillhouse.records.code import code_identity

class Part:
    def __init__(self):
        self.names = {"a", "b", "c", "d", "e"}
    def __call__(self, image):
        return [i for i in image if i in {"k", "l", "m", "n"}]

print(code_identity(Part()), code_identity(Part().__call__), code_identity(lambda x: Part()(x)))
"""


def in_file(folder: Path, text: str):
    """The ``f`` of a module of this text."""
    (folder / "own.py").write_text(text)
    spec = importlib.util.spec_from_file_location("own", folder / "own.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["own"] = module
    spec.loader.exec_module(module)
    return module.f


PLAIN = "class A:\n    n = 1\ndef f(x):\n    return A.n + x\n"


@pytest.mark.parametrize(
    ("text", "same"),
    [
        (PLAIN, True),
        ("# moved\n\n" + PLAIN.replace("    ", "  "), True),
        (PLAIN.replace("return A.n + x", "'what'\n    return (A.n  # why\n            + x)"), True),
        (PLAIN.replace("+", "-"), False),
        (PLAIN.replace("n = 1", "n = 2"), False),
        (PLAIN.replace("f(x)", "f(x, y=1)"), False),
    ],
)
def test_only_a_change_of_code_makes_it_another_one(text: str, same: bool, tmp_path: Path) -> None:
    before = code_identity(in_file(tmp_path, PLAIN))
    assert (code_identity(in_file(tmp_path, text)) == before) is same


def test_without_source_it_is_the_bytecode_and_says_so(tmp_path: Path) -> None:
    found = []
    for text in (PLAIN, PLAIN, PLAIN.replace("+", "-")):
        namespace = {"__name__": "typed"}
        exec(text, namespace)
        found.append(code_identity(namespace["f"]))
    assert found[0] == found[1] != found[2]
    assert found[0].startswith("typed.f-")
    assert found[0].endswith(f"-bytecode-{sys.implementation.cache_tag}")
    assert "bytecode" not in code_identity(in_file(tmp_path, PLAIN))


def test_a_module_in_a_closure_is_a_name() -> None:
    def by_module(module):
        return lambda image: module.flip(image)

    assert code_identity(by_module(torch)) == code_identity(by_module(torch))
    assert code_identity(by_module(torch)) != code_identity(by_module(np))


def test_no_process_and_no_line_number_is_in_it(tmp_path: Path) -> None:
    said = set()
    for seed, text in (("1", SCRIPT), ("2", "# moved\n\n" + SCRIPT)):
        (tmp_path / "script.py").write_text(text)
        environment = {**os.environ, "PYTHONHASHSEED": seed, "OMP_NUM_THREADS": "1"}
        said.add(
            subprocess.check_output(
                [sys.executable, str(tmp_path / "script.py")], text=True, env=environment
            )
        )
    assert len(said) == 1


class Squared(nn.Module):
    def forward(self, x):
        return x**2


def test_networks_of_the_same_weights_are_told_apart() -> None:
    def net(last: nn.Module) -> nn.Module:
        return nn.Sequential(nn.Conv2d(3, 4, 3), last)

    found = {module_identity(net(last)) for last in (nn.ReLU(), nn.Tanh(), Squared())}
    assert len(found) == 3
    assert module_identity(net(Squared())) == module_identity(net(Squared()))
    one, other = nn.Conv2d(3, 4, 3, stride=1), nn.Conv2d(3, 4, 3, stride=2)
    assert module_identity(one) != module_identity(other)
