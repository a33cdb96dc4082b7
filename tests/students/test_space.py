"""What a search may choose, and what a student may cost."""

import random

import pytest

from stillhouse.errors import RecipeError
from stillhouse.models import build_model, describe
from stillhouse.students.space import BLOCKS, Budget, choices, suggest


class Dice:
    """Chooses by chance."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def suggest_categorical(self, name, choices):
        return self.random.choice(choices)

    def suggest_int(self, name, low, high, *, step=1):
        return self.random.randrange(low, high + 1, step)


class Fixed:
    """Chooses what it was told."""

    def __init__(self, settings) -> None:
        self.settings = settings

    def suggest_categorical(self, name, choices):
        assert self.settings[name] in choices
        return self.settings[name]

    def suggest_int(self, name, low, high, *, step=1):
        assert self.settings[name] in range(low, high + 1, step)
        return self.settings[name]


def test_all_choices_are_what_can_be_suggested() -> None:
    known = list(choices())
    assert [suggest(Fixed(settings)) for settings, _ in known] == [name for _, name in known]
    names = {name for _, name in known}
    assert {suggest(Dice(seed)) for seed in range(3000)} == names


def test_every_choice_is_a_model_and_they_differ_in_size() -> None:
    sizes = [
        describe(build_model(name, classes=10, channels=1)).parameters
        for _, name in choices()
        if "128" not in name  # the largest ones take a while
    ]
    assert len(set(sizes)) > 0.9 * len(sizes)
    assert min(sizes) < 2_000
    assert {settings["block"] for settings, _ in choices()} == set(BLOCKS)


def test_a_budget_refuses_what_costs_more_and_nothing_else() -> None:
    both = Budget(parameters=100, milliseconds=2.0)
    assert both.objection(parameters=100, milliseconds=2.0) is None
    assert both.objection(parameters=101, milliseconds=1.0) == "101 parameters of 100"
    assert both.objection(parameters=99, milliseconds=2.011) == "2.01 ms of 2"
    assert both.objection(parameters=99, milliseconds=None) is None
    assert Budget(milliseconds=1.0).objection(parameters=10**9, milliseconds=0.5) is None


@pytest.mark.parametrize(
    ("asked", "said"),
    [({}, "--parameters 50000 or --latency-ms"), ({"parameters": 0}, "cannot cost 0"),
     ({"milliseconds": -1.0}, "cannot cost -1.0")],
)  # fmt: skip
def test_a_budget_that_is_none_is_refused(asked, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        Budget(**asked)
