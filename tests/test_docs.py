"""Pages of the docs say nothing that the package does not take: recipes, commands, code, names.

What the guides show is run from top to bottom in tests/ecosystem/test_guides.py.
"""

import ast
import doctest
import inspect
import re
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
import torch
import typer
import yaml
from pages import DOCS, ROOT, Block, blocks, pages

from stillhouse.cli.app import app
from stillhouse.errors import nearest
from stillhouse.methods import METHODS, kd
from stillhouse.models import build_model
from stillhouse.recipes import make_recipe, make_study
from stillhouse.recipes.schema import Recipe
from stillhouse.recipes.study import is_study

LANGUAGES = {"python", "py", "sh", "bash", "yaml", "text", "", "{toctree}", "{include}"}
SMALL = {"data": "digits", "student": "convnet-4", "teacher": "convnet-8", "epochs": 300}
"""What a block is taken to stand beside that is a part of a recipe."""


def with_page(language: str) -> list[object]:
    found = [(page, each) for page in pages() for each in blocks(page) if each.language == language]
    return [pytest.param(each, id=f"{page.relative_to(DOCS)}:{each.line}") for page, each in found]


@pytest.fixture
def generator(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(DOCS))
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    for name in [name for name in sys.modules if name.partition(".")[0] == "generator"]:
        monkeypatch.delitem(sys.modules, name)

    def found(name: str) -> ModuleType:
        return import_module(f"generator.{name}")

    return found


@pytest.mark.parametrize("block", with_page("yaml"))
def test_a_recipe_of_the_docs_is_taken(block: Block) -> None:
    """Whole, or as a part of one."""
    values = yaml.safe_load(block.text)
    told = "method" in values and "teacher" not in values and "student" in values
    whole = {**({} if told else SMALL), **values}  # a method with its student says what it needs
    whole = {"data": SMALL["data"], **whole}
    if "claims" in values:
        named = {name: {"method": {"name": "kd", "temperature": 1.0 + at}} for at, name in
                 enumerate(values["claims"])}  # fmt: skip
        whole["arms"] = named
    if is_study(whole):
        assert make_study(whole).arms
    else:
        make_recipe(whole)


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(DOCS)))
def test_commands_of_the_docs_have_these_options(page: Path) -> None:
    group = typer.main.get_command(app)
    for block in blocks(page):
        assert block.language in LANGUAGES
        for words in block.commands if block.language in ("sh", "bash") else ():
            if words in (["--help"], ["--version"]):
                continue
            command = group.commands.get(words[0])
            assert command is not None, nearest(words[0], list(group.commands))
            command.make_context(words[0], [word.strip('"') for word in words[1:] if word != "..."])


def test_code_of_the_docs_is_python() -> None:
    for page in pages():
        for block in blocks(page):
            if block.language == "python":
                ast.parse(block.text)


def test_code_of_students_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """What no other test of a page runs; `network` and `teacher` are what a reader has."""
    for name in ("students.md", "students-quantised.md"):
        network = build_model("convnet-4-8", classes=3)
        network(torch.randn(4, 3, 32, 32))
        known = {"teacher": network, "network": network, "torch": torch}
        (text,) = (each.text for each in blocks(DOCS / name) if each.language == "python")
        first, _, last = text.partition("\ninteger")
        exec(compile(first, name, "exec"), known)
        if last:
            known["student"](torch.randn(4, 3, 32, 32))  # it learns, so that ranges are known
            exec(compile(f"integer{last}", name, "exec"), known)


def test_the_step_of_the_architecture_runs() -> None:
    (text,) = (each.text for each in blocks(DOCS / "architecture.md") if each.language == "python")
    images, labels = torch.randn(4, 3, 8, 8), torch.tensor([0, 1, 2, 0])
    student, teacher = (build_model(name, classes=3) for name in ("convnet-4", "convnet-8"))
    known = {"student": student, "teacher": teacher, "images": images, "labels": labels}
    known |= {"torch": torch, "kd": kd, "batch": {"batch.image": images, "batch.label": labels}}
    exec(compile(text, "architecture.md", "exec"), known)
    assert known["loss"].ndim == 0


def test_every_page_has_its_place_on_the_site() -> None:
    trees = [each.text for each in blocks(DOCS / "index.md") if each.language == "{toctree}"]
    placed = set(re.findall(r"^(?!:)(?:.*<)?([\w/-]+)>?$", "\n".join(trees), re.MULTILINE))
    written = {page.relative_to(DOCS).with_suffix("").as_posix() for page in pages()} - {"index"}
    notebooks = {f"notebooks/{path.stem}" for path in (DOCS / "notebooks").glob("*.ipynb")}
    assert {name for name in placed if not name.startswith("generated/")} == written | notebooks


def test_the_report_has_the_sections_that_are_explained() -> None:
    text = (DOCS / "start/report.md").read_text()
    titles = [name for row in re.findall(r"^\| (\*\*.*?) \| ", text, re.MULTILINE)
              for name in re.findall(r"\*\*(.*?)\*\*", row)]  # fmt: skip
    folder = ROOT / "src/stillhouse/report/sections"
    shown = "\n".join(path.read_text() for path in folder.glob("*.jinja"))
    assert len(titles) > 9
    assert [title for title in titles if title not in shown] == []


def test_every_key_of_a_recipe_is_told(generator) -> None:
    told = generator("markdown").entries(inspect.getdoc(Recipe) or "", "Keys")
    assert list(told) == list(Recipe.model_fields)
    page = generator("recipe_keys").page()
    assert "| `epochs` | whole number >= 1 | `30` | passes over the training data. |" in page
    assert "| `decay` | number >= 0, < 1 | `0.999` |" in page.partition("## AverageSection")[2]
    assert "`milestones`: list (" in page.partition("## Choices of schedule")[2]


def test_every_command_is_told(generator) -> None:
    page = generator("commands").page()
    names = set(re.findall(r"^## stillhouse (\w+)$", page, re.MULTILINE))
    assert names == set(typer.main.get_command(app).commands)
    assert "`--seeds <int>`" in page


@pytest.mark.parametrize("module", ["markdown", "methods", "schema"])
def test_examples_of_the_generator_are_true(generator, module: str) -> None:
    found = doctest.testmod(generator(module))
    assert found.attempted
    assert not found.failed


def test_a_card_has_settings_and_what_was_measured(generator) -> None:
    methods = generator("methods")
    row = methods.Measured("mnist-kd.json", "mnist", "a \u2192 b", "kd", "93 %", "+1", "**helps**")
    card = methods.card(methods.METHODS[1], [row])
    assert "| `temperature` | number > 0 | `4.0` | T > 0. 4.0: the CIFAR-100 benchmark" in card
    assert "| mnist | a \u2192 b | kd | 93 % | +1 | **helps** |" in card
    assert "`benchmarks/results/mnist-kd.json`, [Results](../../results.md)" in card
    assert "Not measured here yet" in methods.card(methods.METHODS[1], [])


def test_the_map_of_the_field_names_every_method_and_no_other() -> None:
    knowledge = (DOCS / "map.md").read_text()
    named = set(re.findall(r"`(\w+)`", knowledge))
    known = {method.name for method in METHODS} - {"plain"}  # which is the control
    assert known - named == set()
    schemes = knowledge[knowledge.index("## Knowledge") : knowledge.index("## Students")]
    assert set(re.findall(r"`(\w+)`", schemes)) - known == set()
