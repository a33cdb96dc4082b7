"""An argument in the wrong place is answered with the right one."""

import inspect
import pydoc
import re
from pathlib import Path

import pytest
import torch

import stillhouse as sh
from stillhouse.errors import RecipeError
from stillhouse.recipes import Recipe, make_recipe, typed
from stillhouse.recipes.average import AverageSection
from stillhouse.recipes.data import (
    ArchivesSection,
    AugmentSection,
    DataSection,
    ProbeSection,
    TransferSection,
)
from stillhouse.recipes.judging import VerdictSection
from stillhouse.recipes.networks import InputSection
from stillhouse.recipes.schema import BalanceSection, CacheSection
from stillhouse.recipes.sections import sections_of
from stillhouse.recipes.text import TokensSection
from stillhouse.recipes.track import TrackSection
from stillhouse.runs.job.keywords import RunKeys

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
    "of the data": ({"limit": 99}, "data={'source': 'digits', 'limit': 99}"),
    "of views": ({"flip": True}, "data={'source': 'digits', 'augment': {'flip': True}}"),
    "of a network": ({"head_path": "fc"}, "student={'model': 'resnet8', 'head_path': 'fc'}"),
    "of an input": ({"mean": [0.5]}, "student={'model': 'resnet8', 'input': {'mean': [0.5]}}"),
    "with its section": (
        {"teacher_weights": "a.pt"}, "teacher={'model': 'resnet20', 'weights': 'a.pt'}"),
    "of a derived student": ({"rank": 4}, "student={'derive': 'low_rank', 'rank': 4}"),
    "of the call": ({"method": {"name": "kd", "epochs": 3}}, "an argument of its own: epochs=3"),
    "one seed": ({"seed": 3}, "it is called seeds here: seeds=[3]"),
    "of Python": ({"transform": len}, "data: data={'source': 'digits', 'transform': ...}"),
    "misspelt in its section": (
        {"data": {"source": "digits", "trasform": len}}, "'data.trasform'; nearest: transform"),
    "as it was once": (
        {"data_options": {"size": 8, "limit": 99}},
        "beside the source of the data: data={'source': 'digits', 'size': 8, 'limit': 99}"),
    "of a network once": (
        {"teacher_input": {"size": 64}}, "teacher={'model': 'resnet20', 'input': {'size': 64}}"),
    "beside objects": (
        {"data": [], "student": torch.nn.ReLU(), "limit": 9}, "data={'source': ..., 'limit': 9}"),
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
    with pytest.raises(RecipeError, match="no argument 'studnet'; it needs student=, data= and"):
        sh.distill(data="digits", studnet="resnet8", out="runs")
    with pytest.raises(RecipeError, match="arguments have names, such as teacher="):
        sh.distill("digits", student="resnet8", out="runs")
    with pytest.raises(RecipeError, match="'seeds': it is a key of the recipe"):
        sh.study({}, out="runs", seeds=3)
    with pytest.raises(RecipeError, match="no argument 'quite'; nearest: quiet"):
        sh.study({}, out="runs", quite=True)


SECTIONS = {
    ArchivesSection: typed.ArchivesKeys, AugmentSection: typed.AugmentKeys,
    AverageSection: typed.AverageKeys,
    BalanceSection: typed.BalanceKeys, CacheSection: typed.CacheKeys, DataSection: typed.DataKeys,
    InputSection: typed.InputKeys, ProbeSection: typed.ProbeKeys, TokensSection: typed.TokensKeys,
    TrackSection: typed.TrackKeys, TransferSection: typed.TransferKeys,
    VerdictSection: typed.VerdictKeys,
}  # fmt: skip


OF_SEVERAL = {
    "student": typed.StudentKeys, "teacher": typed.TeacherKeys, "schedule": typed.ScheduleKeys,
}  # fmt: skip
"""Sections of several kinds under one key, whose keys are those of all of them."""


def test_what_editors_complete_are_the_keys_of_the_sections() -> None:
    for section, completed in SECTIONS.items():
        own = set(typed.OF_PYTHON) if section is DataSection else set()
        assert set(completed.__annotations__) == set(section.model_fields) | own, section
    for key, completed in OF_SEVERAL.items():
        kinds = sections_of(Recipe.model_fields[key].annotation).values()
        assert set(completed.__annotations__) == {each for k in kinds for each in k.model_fields}
    some = sections_of(Recipe.model_fields["optimizer"].annotation)
    asked = {each for name in ("sgd", "adam", "adamw") for each in some[name].model_fields}
    assert set(typed.OptimizerKeys.__annotations__) == asked


def test_help_is_enough() -> None:
    """Few arguments in the signature; the rest are told, with every key of every section."""
    signature = inspect.signature(sh.distill).parameters
    assert list(signature) == ["teacher", "student", "data", "method", "out", "epochs", "seeds",
                               "quiet", "on_epoch", "settings"]  # fmt: skip
    own = set(signature) - {"settings"}
    assert set(RunKeys.__annotations__) & own == set()
    assert set(Recipe.model_fields) <= set(RunKeys.__annotations__) | own
    told = pydoc.plain(pydoc.render_doc(sh.distill))
    places = [told.index(f"    {name}:") for name in ("Args", "teacher", "settings", "Raises")]
    assert places == sorted(places)
    sections = (typed.ArchivesKeys, typed.DataKeys,
                typed.InputKeys, typed.CacheKeys, typed.BalanceKeys,
                typed.ProbeKeys, typed.AverageKeys, typed.VerdictKeys, typed.TransferKeys,
                typed.TrackKeys, RunKeys, *OF_SEVERAL.values(), typed.OptimizerKeys)  # fmt: skip
    words = set(re.findall(r"[a-z_]+", told))
    assert {key for each in sections for key in each.__annotations__} - words == {
        "decoupled_weight_decay"  # of adam alone
    }


def test_a_call_is_a_recipe(tmp_path: Path) -> None:
    """What YAML says is what the arguments say, with a mistake in it, too."""
    import yaml

    recipe = yaml.safe_load(
        "{data: {source: digits, limit: 99, size: 0}, teacher: {model: resnet8, input: {pad: 1}},"
        " student: {model: convnet-4, head: mine}, method: {name: kd, temperature: -1}, clip: 0,"
        " optimizer: {name: sgdd}, cache: {use: sometimes}, verdict: {margin: x}, track: [a]}"
    )
    with pytest.raises(RecipeError) as of_file:
        make_recipe(recipe)
    with pytest.raises(RecipeError) as of_call:
        sh.distill(**recipe, out=tmp_path / "run")
    assert of_call.value.problems == of_file.value.problems
    assert len(of_file.value.problems) >= 9
