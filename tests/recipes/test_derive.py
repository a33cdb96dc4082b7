"""Students that a recipe makes out of their teacher: keys, errors, round trip, arms of a study."""

import pytest

from stillhouse.errors import RecipeError
from stillhouse.recipes import make_recipe, make_study, resolved
from stillhouse.recipes.derive import LowRankSection, PruneSection
from stillhouse.recipes.merge import arm_values

COMMON = {"data": "digits", "teacher": "resnet20"}

SECTIONS = [
    {"derive": "low_rank", "ratio": 0.5},
    {"derive": "low_rank", "energy": 0.9, "scheme": "spatial", "start": "scratch"},
    {"derive": "low_rank", "rank": 3, "keep": []},
    {"derive": "depthwise", "keep": ["conv1"]},
    {"derive": "prune", "ratio": 0.25, "head": "copied"},
    {"derive": "thinner", "ratio": 0.5},
    {"derive": "shared", "bits": 4, "lr_scale": 0.1},
]


@pytest.mark.parametrize("section", SECTIONS, ids=str)
def test_a_derived_student_comes_back_as_it_was(section: dict) -> None:
    recipe = make_recipe({**COMMON, "student": section})
    again = make_recipe(resolved(recipe))
    assert again == recipe
    assert {key: resolved(recipe)["student"][key] for key in section} == section


def test_titles_say_how_it_was_made() -> None:
    titles = [make_recipe({**COMMON, "student": section}).title for section in SECTIONS[:2]]
    assert titles == [
        "resnet20 -> low_rank 0.5 on digits by kd",
        "resnet20 -> low_rank start scratch energy 0.9 scheme spatial on digits by kd",
    ]


def test_only_an_energy_waits_for_the_weights() -> None:
    settled = [make_recipe({**COMMON, "student": each}).student.settled for each in SECTIONS]
    assert settled == [True, False, True, True, True, True, True]


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"derive": "lowrank", "ratio": 0.5}, "'student.derive: lowrank' does not exist; nearest"),
        ({"derive": "low_rank"}, "say one: rank: 16, ratio: 0.5.*got none"),
        ({"derive": "low_rank", "ratio": 0.5, "rank": 2}, "got rank and ratio"),
        ({"derive": "prune"}, "'student.ratio' is missing"),
        ({"derive": "prune", "ratio": 1}, "'student.ratio' is 1; it must be below 1"),
        ({"derive": "prune", "ratoi": 0.5}, "no key 'student.ratoi'; nearest: ratio"),
        ({"derive": "shared"}, "'student.bits' is missing"),
        ({"derive": "shared", "bits": 9}, "'student.bits' is 9; it must be at most"),
        ({"derive": "shared", "bits": 4, "start": "scratch"}, "'student.start' is 'scratch'"),
        ({"derive": "thinner", "ratio": 0.5, "start": "teacher"}, "no key 'student.start'"),
        ({"derive": "depthwise", "start": "scrath"}, "'student.start' is 'scrath'"),
        ({"derive": "depthwise", "model": "resnet8"}, "no key 'student.model'"),
    ],
    ids=str,
)
def test_what_cannot_be_asked(section: dict, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        make_recipe({**COMMON, "student": section})


def test_it_needs_a_teacher_whose_layers_see_the_same_image() -> None:
    section = {"derive": "prune", "ratio": 0.5}
    with pytest.raises(RecipeError, match=r"and there is none; add teacher"):
        make_recipe({"data": "digits", "student": section, "method": "label_smoothing"})
    teacher = {"model": "resnet20", "input": {"size": 32}}
    with pytest.raises(RecipeError, match=r"teacher\.input"):
        make_recipe({**COMMON, "teacher": teacher, "student": section})
    with pytest.raises(RecipeError, match="the teacher is an ensemble of several"):
        make_recipe({**COMMON, "teacher": ["resnet20", "resnet8"], "student": section})
    thinner = {"derive": "thinner", "ratio": 0.5}
    assert make_recipe({**COMMON, "teacher": teacher, "student": thinner}).student.ratio == 0.5


def test_arms_replace_one_kind_of_student_by_another() -> None:
    values = arm_values({**COMMON, "student": "resnet8"}, {"student": SECTIONS[0]})
    assert values["student"] == SECTIONS[0]
    values = arm_values({**COMMON, "student": SECTIONS[0]}, {"student": SECTIONS[4]})
    assert values["student"] == SECTIONS[4]
    values = arm_values({**COMMON, "student": SECTIONS[0]}, {"student": "resnet8"})
    assert values["student"] == {"model": "resnet8"}


def test_a_study_may_sweep_how_much_stays() -> None:
    sweep = {"student.ratio": [0.25, 0.5]}
    study = make_study({**COMMON, "student": {"derive": "prune", "ratio": 0.9}, "sweep": sweep})
    students = [recipe.student for recipe in study.arms.values()]
    assert students == [PruneSection(derive="prune", ratio=ratio) for ratio in (0.25, 0.5)]
    assert LowRankSection(derive="low_rank", rank=2).model == "low_rank rank 2"
