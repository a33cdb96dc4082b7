"""A transform or a network that does something else has another identity; nothing else has."""

import functools
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
