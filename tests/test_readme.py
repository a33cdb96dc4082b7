"""What the README shows is tried here."""

import ast
import re
from pathlib import Path

import pytest
import torch
import yaml
from tiny import tiny_net

from stillhouse.methods import METHODS
from stillhouse.models import build_model
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
    assert recipe.method.temperature == 4


def test_the_study_is_valid() -> None:
    (text,) = blocks("yaml")[1:]
    assert len(make_study(yaml.safe_load(text)).arms) == 6


def section(title: str) -> str:
    """What stands under a heading."""
    text = (ROOT / "README.md").read_text()
    return text[text.index(f"## {title}\n") :].split("\n## ")[0]


def test_the_example_of_an_own_loop_runs() -> None:
    images, labels = torch.randn(4, 3, 8, 8), torch.tensor([0, 1, 2, 0])
    known = {"student": tiny_net(), "teacher": tiny_net(6), "images": images, "labels": labels,
             "loader": [(images, labels)] * 2}  # fmt: skip
    (text,) = re.findall(r"```python\n(.*?)```", section("In your own loop"), re.DOTALL)
    exec(compile(text, "README.md", "exec"), known)
    assert known["out"].loss.item() > 0


def test_the_example_of_an_own_method_is_a_stage() -> None:
    known = {name: build_model(name, classes=3) for name in ("resnet8", "resnet14")}
    (text,) = re.findall(r"```python\n(.*?)```", section("A method of your own"), re.DOTALL)
    names = {"small": known["resnet8"], "large": known["resnet14"]}
    exec(compile(text, "README.md", "exec"), names)
    with names["stage"].open(torch.randn(4, 3, 32, 32), torch.tensor([0, 1, 2, 0])) as objective:
        assert objective(torch.randn(4, 3, 32, 32), torch.tensor([0, 1, 2, 0])).loss > 0


def test_all_python_examples_parse() -> None:
    for text in blocks("python"):
        ast.parse(text)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_and_result_files_exist(page: Path) -> None:
    text = page.read_text()
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
    links = [link for link in links if "generated/" not in link]  # those are made with the site
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
