"""What a release carries and says of itself."""

import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGE = ROOT / "src/stillhouse"
RECIPES = ROOT / "recipes"


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


def test_the_wheel_carries_the_recipes_and_each_is_run_by_its_name(tmp_path: Path) -> None:
    from stillhouse.recipes import is_study, make_recipe, make_study, read_yaml
    from stillhouse.recipes.ready import ready_recipe, ready_recipes, told

    built = [sys.executable, "setup.py", "-q", "egg_info", "--egg-base", str(tmp_path)]
    subprocess.run([*built, "build_py", "--build-lib", str(tmp_path)], cwd=ROOT, check=True)
    carried = {path.relative_to(tmp_path / "stillhouse/ready") for path in
               (tmp_path / "stillhouse/ready").rglob("*.yaml")}  # fmt: skip
    assert carried == {path.relative_to(RECIPES) for path in RECIPES.rglob("*.yaml")}
    for name, path in ready_recipes().items():
        values = read_yaml(Path(name))
        assert values == read_yaml(path)
        (make_study if is_study(values) else make_recipe)(values, where=name)
        assert 20 < len(told(path)) < 400
    assert ready_recipe(Path("recipes/digits-kd.yaml")) == RECIPES / "digits-kd.yaml"
    assert ready_recipe(Path("digits-km")) is None
