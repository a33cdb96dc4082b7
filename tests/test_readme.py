"""What the README shows is tried here."""

import ast
import re
from pathlib import Path

import pytest
import yaml

from stillhouse.methods import METHODS
from stillhouse.recipes import make_recipe, make_study

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
PAGES += sorted((ROOT / "docs").rglob("*.md"))


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


def test_the_recipe_is_valid_and_at_most_ten_lines() -> None:
    text = blocks("yaml")[0]
    assert len(text.splitlines()) <= 10
    recipe = make_recipe(yaml.safe_load(text))
    assert recipe.method.form == "paper"


def test_the_study_is_valid() -> None:
    (text,) = blocks("yaml")[1:]
    assert len(make_study(yaml.safe_load(text)).arms) == 6


def test_the_first_python_example_runs_in_six_lines(tmp_path: Path, monkeypatch, capsys) -> None:
    text = blocks("python")[0]
    assert len([line for line in text.splitlines() if line.strip()]) <= 6
    monkeypatch.chdir(tmp_path)
    short = text.replace("epochs=20", "epochs=1, batch=256").replace("resnet20", "convnet-4-8")
    assert short != text
    exec(compile(short, "README.md", "exec"), {})
    assert "points of test accuracy" in capsys.readouterr().out
    assert (tmp_path / "runs/first/report.html").is_file()


def test_all_python_examples_parse() -> None:
    for text in blocks("python"):
        ast.parse(text)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_and_result_files_exist(page: Path) -> None:
    text = page.read_text()
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
    missing = [link for link in links if not (page.parent / link).exists()]
    results = re.findall(r"benchmarks/results/[\w.-]+\.json", text)
    missing += [name for name in results if not (ROOT / name).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_paths_exist_that_a_page_names(page: Path) -> None:
    """Those of files that a reader makes are called 'a new file'."""
    text = re.sub(r"a new file\s+`[^`]*`", "", page.read_text())
    found = re.findall(r"(?<![\w./-])(?:src|tests|docs|benchmarks|recipes)/[\w./*-]*[\w/*]", text)
    assert not [path for path in found if not any(ROOT.glob(path.rstrip("/")))]


def test_the_tree_names_every_room() -> None:
    (tree,) = (text for text in blocks("text") if "src/stillhouse/" in text)
    rooms = {p.name for p in (ROOT / "src/stillhouse").iterdir() if (p / "__init__.py").exists()}
    named = set(re.findall(r"^  (\w+)/", tree, re.MULTILINE))
    assert named == rooms


def test_every_method_has_a_card() -> None:
    cards = [page.read_text() for page in (ROOT / "docs/methods").glob("*.md")]
    told = set(re.findall(r"^## (\w+)$", "\n".join(cards), re.MULTILINE))
    assert {method.name for method in METHODS} <= told
