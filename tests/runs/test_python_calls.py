"""An argument in the wrong place is answered with the right one."""

import inspect
import pydoc
from pathlib import Path

import pytest

import stillhouse as sh
from stillhouse.errors import RecipeError
from stillhouse.recipes import Recipe, make_recipe, typed
from stillhouse.recipes.average import AverageSection
from stillhouse.recipes.data import AugmentSection, DataSection, ProbeSection, TransferSection
from stillhouse.recipes.judging import VerdictSection
from stillhouse.recipes.keywords import RecipeKeys
from stillhouse.recipes.networks import InputSection
from stillhouse.recipes.schema import BalanceSection, CacheSection
from stillhouse.recipes.text import TokensSection
from stillhouse.recipes.track import TrackSection

GIVEN = {"data": "digits", "student": "resnet8", "teacher": "resnet20"}
KD, SGD = "a setting of the method kd: method=", "a setting of the optimizer sgd: optimizer="
MISPLACED = {
    "of the method": ({"temperature": 3}, f"{KD}{{'name': 'kd', 'temperature': 3}}"),
    "misspelt": ({"temprature": 3}, "nearest: temperature; temperature is a setting of the method"),
    "of another method": (
        {"decay": 0.9, "method": "at", "ema": 0.99}, "a setting of ema: ema={'decay': 0.9}"),
    "of other methods": (
        {"alpha": 0.5}, "dkd, deit and 5 others, not of kd: method={'name': 'dkd', 'alpha': 0.5}"),
    "of the optimiser": ({"lr": 0.1}, f"{SGD}{{'name': 'sgd', 'lr': 0.1}}"),
    "called otherwise": ({"learning_rate": 0.1}, f"called lr here, and lr is {SGD}"),
    "of the optimiser that is asked for": (
        {"betas": [0.9, 0.99], "optimizer": "adamw"}, "optimizer={'name': 'adamw', 'betas': [0."),
    "of another schedule": (
        {"milestones": [3]}, "schedule={'name': 'multi_step', 'milestones': [3]}"),
    "of the data": ({"limit": 99}, "data_options={'limit': 99}"),
    "of views": ({"flip": True}, "data_options={'augment': {'flip': True}}"),
    "of a network": ({"head_path": "fc"}, "student={'model': 'resnet8', 'head_path': 'fc'}"),
    "of an input": ({"mean": [0.5]}, "student_input={'mean': [0.5]}"),
    "with its section": (
        {"teacher_weights": "a.pt"}, "teacher={'model': 'resnet20', 'weights': 'a.pt'}"),
    "of a derived student": ({"rank": 4}, "student={'derive': 'low_rank', 'rank': 4}"),
    "of the call": ({"method": {"name": "kd", "epochs": 3}}, "an argument of its own: epochs=3"),
    "one seed": ({"seed": 3}, "it is called seeds here: seeds=[3]"),
    "of Python": ({"trasform": len}, "nearest: transform"),
    "an object": ({"temperature": object()}, "{'name': 'kd', 'temperature': ...}"),
    "a slip": ({"epoch": 3}, "there is no key 'epoch'; nearest: epochs"),
    "nothing like it": ({"zzz": 3}, "there is no key 'zzz'; there is: data"),
    "no function": ({"on_epoch": 3}, "on_epoch: it is 3; give a function of one argument"),
}  # fmt: skip


@pytest.mark.parametrize("case", MISPLACED)
def test_a_misplaced_argument_is_answered_with_its_place(case: str, tmp_path: Path) -> None:
    asked, expected = MISPLACED[case]
    with pytest.raises(RecipeError) as found:
        sh.distill(**{**GIVEN, **asked, "out": tmp_path / "run"})
    assert expected in str(found.value)
    assert "\n" not in str(found.value)
    assert not (tmp_path / "run").exists()


def test_the_answer_is_a_recipe_that_loads() -> None:
    """What is told to be written is read again, in the words of a recipe."""
    import yaml

    for key, value in (("temperature", 3), ("lr", 0.1), ("limit", 99), ("flip", True),
                       ("milestones", [3]), ("margin", 0.5), ("share", 2.0)):  # fmt: skip
        with pytest.raises(RecipeError) as found:
            make_recipe({**GIVEN, key: value})
        written = yaml.safe_load(str(found.value).split(": ", 2)[2])
        assert f"{key!r}: {value!r}" in repr(written)
        make_recipe({**GIVEN, **written})


def test_a_call_without_what_it_needs() -> None:
    with pytest.raises(RecipeError, match="no argument 'studnet'; it needs data=, student= and"):
        sh.distill(data="digits", studnet="resnet8", out="runs")
    with pytest.raises(RecipeError, match="arguments have names, such as data="):
        sh.distill("digits", student="resnet8", out="runs")
    with pytest.raises(RecipeError, match="'seeds': it is a key of the recipe"):
        sh.study({}, out="runs", seeds=3)
    with pytest.raises(RecipeError, match="no argument 'quite'; nearest: quiet"):
        sh.study({}, out="runs", quite=True)


def test_the_signature_names_every_key_of_a_recipe() -> None:
    own = set(inspect.signature(sh.distill).parameters)
    further = RecipeKeys.__annotations__
    assert set(Recipe.model_fields) - own == set(further)
    told = inspect.getdoc(sh.distill) or ""
    assert [key for key in further if key not in told] == []


SECTIONS = {
    AugmentSection: typed.AugmentKeys, AverageSection: typed.AverageKeys,
    BalanceSection: typed.BalanceKeys, CacheSection: typed.CacheKeys, DataSection: typed.DataKeys,
    InputSection: typed.InputKeys, ProbeSection: typed.ProbeKeys, TokensSection: typed.TokensKeys,
    TrackSection: typed.TrackKeys, TransferSection: typed.TransferKeys,
    VerdictSection: typed.VerdictKeys,
}  # fmt: skip


@pytest.mark.parametrize("section", SECTIONS, ids=lambda each: each.__name__)
def test_what_editors_complete_are_the_keys_of_the_section(section: type) -> None:
    known = set(section.model_fields) - ({"source"} if section is DataSection else set())
    assert set(SECTIONS[section].__annotations__) == known


def test_help_is_enough_to_begin() -> None:
    """Each argument is told with its form, in the order in which one needs them."""
    told = pydoc.plain(pydoc.render_doc(sh.distill))
    signature = inspect.signature(sh.distill).parameters
    places = [told.index(f"{name}:", told.index("Args:")) for name in ("data", "teacher", "student",
              "method", "task", "out", "quiet", "settings")]  # fmt: skip
    assert places == sorted(places)
    assert all(name in told[places[0] :] for name in signature)
    assert "DataKeys" in told
    assert "InputKeys" in told
