"""Packages that are absent, or lack a part of their own; those that are there: tests/ecosystem."""

import sys

import pytest

from stillhouse.errors import MissingExtra
from stillhouse.models import build_model


@pytest.mark.parametrize("package", ["timm", "torchvision"])
def test_absent_package(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtra, match=rf"stillhouse\[{package}\]"):
        build_model(f"{package}:resnet18", classes=7)


def test_package_that_lacks_a_part_of_its_own_is_not_called_absent(monkeypatch, tmp_path):
    (tmp_path / "timm.py").write_text("import a_package_that_does_not_exist\n")
    monkeypatch.delitem(sys.modules, "timm", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="a_package_that_does_not_exist"):
        build_model("timm:resnet18", classes=7)
