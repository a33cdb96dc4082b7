"""A list of methods as arms, and an opponent that is chosen on validation."""

import pytest

from stillhouse.errors import RecipeError
from stillhouse.methods import METHODS
from stillhouse.recipes import make_study
from stillhouse.recipes.arms import TUNED_KD, contender_name, method_arms

COMMON = {"data": "digits", "teacher": "resnet20", "student": "resnet8"}


def test_a_list_of_methods_is_a_list_of_arms() -> None:
    listed = ["dkd", {"name": "kd", "weight": 3.0}]
    study = make_study({**COMMON, "methods": listed, "arms": {"flat": {"method": "rkd"}}})
    assert list(study.arms) == ["flat", "dkd", "kd weight=3.0"]
    assert study.arms["kd weight=3.0"].method.settings()["weight"] == 3.0


def test_all_is_the_catalogue_but_the_control() -> None:
    known = {method.name for method in METHODS}
    assert set(method_arms("all", teacher=True)[0]) == known - {"plain"}
    needy = {method.name for method in METHODS if method.needs_teacher}
    assert set(method_arms("all", teacher=False)[0]) == known - needy - {"plain"}


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        ([], r"give a list such as \[kd, dkd\], or 'all'"),
        (["kdd"], "no method 'kdd'; nearest: kd"),
        (["kd", "kd"], "'kd' is there twice"),
        (["plain"], "'plain' is the control"),
        ([{"weight": 3}], "is no method"),
        ("kd", "give a list"),
    ],
)
def test_what_is_no_list_of_methods_is_told(methods: object, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        make_study({**COMMON, "methods": methods})


def test_the_opponent_may_be_several_of_which_validation_chooses() -> None:
    arms = {contender_name(each): {"method": dict(each)} for each in TUNED_KD}
    study = make_study({**COMMON, "methods": ["kd", "dkd"], "arms": arms, "against": [*arms, "kd"]})
    assert study.against is None
    assert set(study.rivals) == {*arms, "kd"}
    blind = {**COMMON, "data": {"source": "digits", "validation": 0}}
    with pytest.raises(RecipeError, match="chosen on validation data, and arm 'kd' has none"):
        make_study({**blind, "methods": ["kd", "dkd"], "against": ["kd", "dkd"]})
