"""What an installed package must hold beside its modules, and what of it is not ours."""

import hashlib
import tomllib
from pathlib import Path

import stillhouse

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = Path(stillhouse.__file__).parent
VENDORED = PACKAGE / "report/vendored"


def test_every_file_of_a_page_is_in_the_wheel() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["stillhouse"]
    packed = {path for pattern in patterns for path in PACKAGE.glob(pattern)}
    there = {path for path in PACKAGE.rglob("*") if path.is_file() and path.suffix != ".pyc"}
    assert {path for path in there if path.suffix != ".py"} == packed


def test_what_is_not_ours_is_unchanged_and_named() -> None:
    bundle = (VENDORED / "plotly-basic.min.js").read_bytes()
    about = (VENDORED / "README.md").read_text(encoding="utf-8")
    assert hashlib.sha256(bundle).hexdigest() in about
    assert f"v{about.split('plotly.js ')[1].split()[0]}".encode() in bundle[:200]
    assert b"\r" not in bundle, "a browser would hash other bytes than the policy names"
    assert "MIT License" in (VENDORED / "LICENSE").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert "MIT" in project["license"]
    assert "src/stillhouse/report/vendored/LICENSE" in project["license-files"]
    assert "plotly.js" in (ROOT / "README.md").read_text(encoding="utf-8")
