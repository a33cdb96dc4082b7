"""What a reader, a recipe and the docs can count on in every member of the catalogue."""

import inspect
import re
from collections.abc import Callable
from importlib import import_module
from pkgutil import iter_modules
from typing import Literal, get_origin, get_type_hints

import pytest
from torch import nn

from stillhouse import bridges, functional, losses, methods
from stillhouse.errors import RecipeError
from stillhouse.methods import METHODS, Method, find_method

LOSSES = [getattr(functional, name) for name in functional.__all__]


def doc(member: Callable[..., object]) -> str:
    return inspect.getdoc(member) or ""


def section(member: Callable[..., object], title: str) -> str:
    """What stands under a title, up to the next line that is not indented; empty when missing."""
    found = re.search(rf"^{title}:(.*?)(?=^\S|\Z)", doc(member), re.MULTILINE | re.DOTALL)
    return found[1].strip() if found else ""


def keyword_only(member: Callable[..., object]) -> list[inspect.Parameter]:
    parameters = inspect.signature(member).parameters.values()
    return [p for p in parameters if p.kind is p.KEYWORD_ONLY]


def public_functions(package: object) -> set[str]:
    found = set()
    for info in iter_modules(package.__path__):
        module = import_module(f"{package.__name__}.{info.name}")
        for name, value in vars(module).items():
            mine = inspect.isfunction(value) and value.__module__ == module.__name__
            found |= {name} if mine and not name.startswith("_") else set()
    return found


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.__name__)
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


@pytest.mark.parametrize("name", losses.__all__)
def test_a_loss_with_memory_or_parameters_says_what_it_is(name: str) -> None:
    loss = getattr(losses, name)
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


def test_each_loss_with_memory_or_parameters_is_listed() -> None:
    found = set()
    for info in iter_modules(losses.__path__):
        module = import_module(f"{losses.__name__}.{info.name}")
        for name, value in vars(module).items():
            mine = inspect.isclass(value) and value.__module__ == module.__name__
            reads = mine and issubclass(value, nn.Module)
            if reads and list(inspect.signature(value.forward).parameters)[1:2] == ["student"]:
                found.add(name)
    assert found == set(losses.__all__)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_a_method_says_what_it_is(method: Method) -> None:
    assert method.line.endswith((".", "``."))
    assert ">>>" in doc(method.build)
    assert "``" in doc(method.build) or "::" in doc(method.build), "the objective in text"
    if method.name != "plain":
        assert re.search(r"\b(19|20)\d\d\b", method.paper), "the paper with its year"
        assert section(method.build, "Paper")
        assert section(method.build, "Differs from the authors' code")
        for identifier in re.findall(r"\d{4}\.\d{5}", method.paper):
            assert identifier in section(method.build, "Paper"), "one paper, not two"
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
    assert not set(names) & set(functional.__all__), "a method and a loss of one name confuse"
    with pytest.raises(RecipeError, match=r"no method 'kdd'; nearest: kd"):
        find_method("kdd")


def test_everything_public_is_in_the_catalogue() -> None:
    assert functional.__all__ == sorted(functional.__all__)
    assert losses.__all__ == sorted(losses.__all__)
    in_pieces = public_functions(functional) - set(functional.__all__)
    no_losses = {"by_anchors", "by_rows", "directions", "full", "virtual_teacher"}
    no_losses |= {"without_autocast"}
    no_losses |= {"confidence_shares", "ensemble_kl"}  # of several teachers, so of other shapes
    assert in_pieces == no_losses, "what formulas are made of, and a target"
    assert set(functional.__all__) <= public_functions(functional)
    assert set(bridges.__all__) <= public_functions(bridges) | {
        name for name in dir(bridges) if inspect.isclass(getattr(bridges, name))
    }
    for method in METHODS:
        assert getattr(methods, method.name) is method.build
        assert method.name in methods.__all__
        where = ".".join(part for part in (method.family.replace(" ", "_"), method.name) if part)
        assert method.build.__module__ == f"stillhouse.methods.{where}", "one file per paper"
