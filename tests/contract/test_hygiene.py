"""What a reader, a recipe and the docs can count on in every member of the catalogue."""

import inspect
import re
from collections.abc import Callable, Iterator
from importlib import import_module
from itertools import groupby
from pathlib import Path
from pkgutil import walk_packages
from types import ModuleType
from typing import Literal, get_origin, get_type_hints

import pytest
from torch import nn

from stillhouse import functional, losses, methods
from stillhouse.engine.stage import Stage
from stillhouse.errors import RecipeError
from stillhouse.methods import METHODS, Method, find_method
from stillhouse.testing.contract import positional

ROOT = Path(__file__).resolve().parents[2]
by_name = {"ids": lambda loss: loss.__name__}
FORMULAS = [
    ("student", "teacher"),
    ("student", "label"),
    ("student", "teacher", "label"),
    ("student", "teacher", "content"),
]
"""What a formula of the catalogue takes by position."""
CARD = r"^\| `(\w+)`( \[\])? \|[^|]+\|[^|]+\|[^|]+\|$"
"""The row of a loss: name, [] where it gives one value for the batch, three more columns."""


def doc(member: Callable[..., object]) -> str:
    return inspect.getdoc(member) or ""


def section(member: Callable[..., object], title: str) -> str:
    """What stands under a title, up to the next line that is not indented; empty when missing."""
    found = re.search(rf"^{title}:(.*?)(?=^\S|\Z)", doc(member), re.MULTILINE | re.DOTALL)
    return found[1].strip() if found else ""


def keyword_only(member: Callable[..., object]) -> list[inspect.Parameter]:
    parameters = inspect.signature(member).parameters.values()
    return [p for p in parameters if p.kind is p.KEYWORD_ONLY]


def members(package: ModuleType) -> Iterator[tuple[str, object]]:
    """What each file of a package defines itself and calls without an underscore."""
    for info in walk_packages(package.__path__, f"{package.__name__}."):
        for name, value in vars(import_module(info.name)).items():
            if getattr(value, "__module__", "") == info.name and not name.startswith("_"):
                yield name, value


@pytest.mark.parametrize("loss", functional.LOSSES, **by_name)
def test_a_loss_says_what_it_is(loss: Callable[..., object]) -> None:
    first = doc(loss).splitlines()[0]
    assert first.endswith((".", "``.")), "the first line is a sentence"
    assert "``" in doc(loss), "the equation in text"
    assert "[B" in section(loss, "Shapes"), "shapes of inputs and result"
    assert ">>>" in doc(loss), "an example with a number"
    assert re.search(r"^-?[0-9.]+$", doc(loss), re.MULTILINE), "an example with a number"
    names = list(inspect.signature(loss).parameters)
    assert names[0] == "student", "learner first"
    if "teacher" in names:
        assert section(loss, "Paper")
        assert section(loss, "Differs from the authors' code")
    for p in keyword_only(loss):
        assert re.search(rf"\b{p.name}:", section(loss, "Args")), f"{p.name} and its origin"


@pytest.mark.parametrize("loss", losses.LOSSES, **by_name)
def test_a_loss_with_memory_or_parameters_says_what_it_is(loss: type[nn.Module]) -> None:
    assert issubclass(loss, nn.Module)
    assert doc(loss).splitlines()[0].endswith((".", "``."))
    assert "``" in doc(loss), "the equation in text"
    assert "[B" in section(loss, "Shapes"), "shapes of inputs and result"
    assert ">>>" in doc(loss)
    assert section(loss, "Paper")
    assert section(loss, "Differs from the authors' code")
    assert list(inspect.signature(loss.forward).parameters)[:2] == ["self", "student"]
    for p in list(inspect.signature(loss).parameters.values()):
        assert re.search(rf"\b{p.name}\b.*:", section(loss, "Args")), f"{p.name} and its origin"


def test_each_formula_has_its_line() -> None:
    """What takes anything else by position is what formulas are made of, or of one method."""
    found = {
        value
        for _, value in members(functional)
        if inspect.isfunction(value) and tuple(positional(value)) in FORMULAS
    }
    assert found == set(functional.LOSSES), "these and no others, by functional/__init__.py"


def test_each_loss_with_memory_or_parameters_has_its_line() -> None:
    found = {
        value
        for _, value in members(losses)
        if inspect.isclass(value)
        and issubclass(value, nn.Module)
        and list(positional(value.forward))[1:2] == ["student"]
    }
    assert found == set(losses.LOSSES), "these and no others, by losses/__init__.py"


@pytest.mark.parametrize("loss", [*functional.LOSSES, *losses.LOSSES], **by_name)
def test_a_loss_has_a_card_and_a_test(loss: Callable[..., object]) -> None:
    name = loss.__name__
    rows = dict(re.findall(CARD, (ROOT / "docs/losses.md").read_text(), re.MULTILINE))
    assert name in rows, "a row with equation, paper and usual weight in docs/losses.md"
    assert bool(rows[name]) == ("returns []" in section(loss, "Shapes")), "[]: one for the batch"
    rooms = [ROOT / "tests" / room for room in ("functional", "losses")]
    tests = "".join(path.read_text() for room in rooms for path in room.glob("test_*.py"))
    assert re.search(rf"\b{name}\b", tests), "a test in tests/functional or tests/losses"


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_a_method_says_what_it_is(method: Method) -> None:
    assert method.line.endswith((".", "``."))
    assert ">>>" in doc(method.build)
    assert "``" in doc(method.build) or "::" in doc(method.build), "the objective in text"
    if method.name != "plain":
        assert re.search(r"\b(19|20)\d\d\b", method.paper), "the paper with its year"
        assert section(method.build, "Paper")
        assert section(method.build, "Differs from the authors' code")
        assert len(method.paper) < 80, "the short reference, a colon, then the title"
    for name in method.settings:
        assert re.search(rf"\b{name}\b", section(method.build, "Args")), f"{name} and its origin"


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_a_methods_settings_are_a_schema(method: Method) -> None:
    """Typed and with defaults, so that a recipe may leave out all of them."""
    for name, p in method.settings.items():
        assert p.default is not p.empty, name
        assert p.annotation is not p.empty, name
    taken = [name for name in inspect.signature(method.build).parameters if name not in
             method.settings]  # fmt: skip
    assert taken in (["student"], ["student", "teacher"], ["student", "peers"])
    assert method.needs_teacher == ("teacher" in taken)
    assert method.needs_peers == ("peers" in taken)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_a_method_refuses_what_a_recipe_would_refuse(method: Method) -> None:
    """Also when it is called from Python: `checked` stands before each method with settings."""
    hints = get_type_hints(method.build, include_extras=True)
    nets: list[object] = [nn.Linear(1, 1)] * (2 if method.needs_teacher else 1)
    nets += [[nn.Linear(1, 1)]] if method.needs_peers else []
    for name in method.settings:
        bad = "no such choice" if get_origin(hints[name]) is Literal else -1.0
        if bad == -1.0 and not hasattr(hints[name], "__metadata__"):
            continue
        with pytest.raises(RecipeError, match=rf"method '{method.name}': {name} is "):
            method.build(*nets, **{name: bad})


def test_names_are_unique_and_found() -> None:
    names = [method.name for method in METHODS]
    assert len(set(names)) == len(names)
    assert [find_method(name) for name in names] == list(METHODS)
    formulas = {loss.__name__ for loss in functional.LOSSES}
    assert not set(names) & formulas, "a method and a loss of one name confuse"
    with pytest.raises(RecipeError, match=r"no method 'kdd'; nearest: kd"):
        find_method("kdd")


def test_each_method_has_its_line() -> None:
    """A method is a function that is called like its file and gives a Stage."""
    found = {
        value
        for name, value in members(methods)
        if inspect.isfunction(value)
        and value.__module__.endswith(f".{name}")
        and get_type_hints(value)["return"] is Stage
    }
    assert found == {m.build for m in METHODS}, "these and no others, by methods/__init__.py"
    for method in METHODS:
        assert getattr(methods, method.name) is method.build


def test_families_stand_together_in_the_order_of_the_listing() -> None:
    assert [family for family, _ in groupby(METHODS, lambda method: method.family)] == [
        "", "response", "feature", "relation", "self distillation", "sharing", "offline",
        "several teachers", "teacher free", "online", "adversarial",
    ]  # fmt: skip


@pytest.mark.parametrize("method", METHODS[1:], ids=lambda method: method.name)
def test_a_method_has_a_card_and_a_test(method: Method) -> None:
    cards = "".join(page.read_text() for page in (ROOT / "docs/methods").glob("*.md"))
    assert re.search(rf"^## {method.name}$", cards, re.MULTILINE), "a card in docs/methods"
    folder = method.family.replace(" ", "_")
    test = ROOT / "tests/methods" / folder / f"test_{method.name}.py"
    assert test.is_file(), f"a test in {test.relative_to(ROOT)}"
