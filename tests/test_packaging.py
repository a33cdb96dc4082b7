"""What a release carries and says of itself."""

import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGE = ROOT / "src/stillhouse"


def test_the_version_is_said_in_one_place_and_repeated_rightly() -> None:
    version = PROJECT["project"]["version"]
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert cited["version"] == version
    assert cited["license"] in PROJECT["project"]["license"]


def test_the_wheel_carries_every_file_that_is_no_module() -> None:
    globs = PROJECT["tool"]["setuptools"]["package-data"]["stillhouse"]
    files = [path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*") if path.is_file()]
    others = [each for each in files if not each.endswith((".py", ".pyc"))]
    assert "py.typed" in others
    assert not [each for each in others if not any(fnmatch(each, glob) for glob in globs)]
    assert all((ROOT / each).is_file() for each in PROJECT["project"]["license-files"])
    folders = {path.parent for path in PACKAGE.rglob("*.py")}
    assert all((folder / "__init__.py").is_file() for folder in folders), "find leaves it out"


def test_every_extra_is_named_where_one_installs_it() -> None:
    text = (ROOT / "README.md").read_text()
    table = text[text.index("| extra | brings |") : text.index("## On your own folder")]
    named = set(re.findall(r"`([a-z]+)`", "\n".join(row.split("|")[1] for row in table.splitlines()
                                                     if row.startswith("|"))))  # fmt: skip
    assert named == set(PROJECT["project"]["optional-dependencies"])
