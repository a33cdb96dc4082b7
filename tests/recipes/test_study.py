"""Studies as data: what an arm says over what is common, the product of a sweep, all problems."""

from pathlib import Path

import pytest

from stillhouse.errors import RecipeError
from stillhouse.recipes import is_study, load_recipe, load_study, make_recipe, make_study
from stillhouse.recipes.load import override
from stillhouse.recipes.merge import arm_values, merged
from stillhouse.recipes.study import override_study

SHIPPED = sorted((Path(__file__).resolve().parents[2] / "recipes/studies").glob("*.yaml"))
COMMON = {"data": "digits", "teacher": "resnet8", "student": "convnet-4"}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_shipped_studies_are_valid(path: Path) -> None:
    assert len(load_study(path).arms) > 1


def problems(values: dict) -> str:
    with pytest.raises(RecipeError) as caught:
        make_study(values)
    return str(caught.value)


def test_mappings_merge_and_the_rest_is_replaced() -> None:
    common = {"data": {"source": "digits", "augment": ["crop"]}, "teacher": {"model": "resnet8"}}
    found = arm_values(common, {"data.limit": 9, "data.augment": ["flip"], "teacher.epochs": 2})
    assert found["data"] == {"source": "digits", "augment": ["flip"], "limit": 9}
    assert found["teacher"] == {"model": "resnet8", "epochs": 2}
    assert common["data"] == {"source": "digits", "augment": ["crop"]}, "what is given stays"


def test_settings_of_one_choice_never_leak_into_another() -> None:
    common = {"method": {"name": "kd", "temperature": 2}, "optimizer": {"name": "sgd", "lr": 1}}
    assert arm_values(common, {"method": "th_kd"})["method"] == {"name": "th_kd"}
    assert arm_values(common, {"method": {"weight": 3}})["method"] == {
        "name": "kd", "temperature": 2, "weight": 3,
    }  # fmt: skip
    assert arm_values(common, {"optimizer.name": "adamw"})["optimizer"] == {"name": "adamw"}
    weights = {"teacher": {"model": "resnet8", "weights": "w.safetensors"}}
    assert arm_values(weights, {"teacher": "resnet20"})["teacher"] == {"model": "resnet20"}
    inner = {"method": {"name": "x", "ramp": {"name": "up", "epochs": 5}}}
    assert merged(inner, {"method": {"ramp": {"name": "down"}}})["method"]["ramp"] == {
        "name": "down"
    }


def test_settings_without_a_name_are_those_of_the_default() -> None:
    assert arm_values({}, {"method.weight": 2})["method"] == {"name": "kd", "weight": 2}
    common = {"method": {"temperature": 2}, "optimizer": {"lr": 0.5}}
    arm = arm_values(common, {"method": "dkd", "optimizer": "adamw"})
    assert (arm["method"], arm["optimizer"]) == ({"name": "dkd"}, {"name": "adamw"})
    arm = arm_values(common, {"method": "kd", "optimizer": {"momentum": 0}})
    assert arm["method"] == {"name": "kd", "temperature": 2}
    assert arm["optimizer"] == {"name": "sgd", "lr": 0.5, "momentum": 0}
    over = override_study({"optimizer": {"lr": 0.5}, "arms": {}}, ["optimizer=adamw"])
    assert over["optimizer"] == {"name": "adamw"}


@pytest.mark.parametrize(
    ("common", "own", "expected"),
    [
        ({"model": "a", "head": "b"}, {"teacher.head.seed": "student"},
         {"model": "a", "head": {"model": "b", "seed": "student"}}),
        ({"model": "a", "head": {"model": "b", "seed": 1}}, {"teacher.head": "b"},
         {"model": "a", "head": {"model": "b", "seed": 1}}),
        ({"model": "a", "head": {"model": "b", "seed": 1}}, {"teacher.head": "c"},
         {"model": "a", "head": {"model": "c"}}),
        ({"model": "a", "method": "kd", "teacher": "b"}, {"teacher.method.temperature": 2},
         {"model": "a", "method": {"name": "kd", "temperature": 2}, "teacher": "b"}),
        ({"model": "a", "head": "b"}, {"teacher.head": "c"}, {"model": "a", "head": "c"}),
    ],
)  # fmt: skip
def test_bare_words_are_sections_at_any_depth(common: dict, own: dict, expected: dict) -> None:
    assert arm_values({"teacher": common}, own)["teacher"] == expected
    (key, value), *_ = own.items()
    if key.count(".") == 2:
        assert override({"teacher": common}, [f"{key}={value}"])["teacher"] == expected


def test_words_that_are_no_sections_stay_words() -> None:
    student = {"student": {"model": "a", "head": "own"}, "cache": {"dtype": "float32"}}
    arm = arm_values(student, {"student.head": "shared", "cache.dtype": {"logits": "float16"}})
    assert arm["student"] == {"model": "a", "head": "shared"}
    assert arm["cache"] == {"dtype": {"logits": "float16"}}


def test_no_and_null_are_values() -> None:
    assert arm_values({"cache": "always"}, {"cache": False})["cache"] == {"use": "never"}
    assert arm_values(COMMON, {"teacher": None})["teacher"] is None


def test_arms_are_ordinary_recipes() -> None:
    study = make_study(
        {**COMMON, "seeds": 2, "arms": {"kd": None, 1.5: {"method": {"name": "kd", "weight": 1.5}}}}
    )
    assert list(study.arms) == ["kd", "1.5"]
    assert study.arms["kd"] == make_recipe({**COMMON, "seeds": 2})
    assert study.arms["1.5"].method.weight == 1.5
    assert study.settings["1.5"] == {"method.name": "kd", "method.weight": 1.5}
    assert study.title == "2 arms on digits"


def test_a_sweep_is_a_product_and_its_arms_say_their_settings() -> None:
    study = make_study(
        {**COMMON, "sweep": {"method.temperature": [1, 2], "method.weight": [3, 5], "epochs": 7}}
    )
    assert list(study.arms) == [
        f"temperature={t}, weight={w}, epochs=7" for t in (1, 2) for w in (3, 5)
    ]
    chosen = [(a.method.temperature, a.method.weight, a.epochs) for a in study.arms.values()]
    assert chosen == [(1, 3, 7), (1, 5, 7), (2, 3, 7), (2, 5, 7)]
    assert study.swept == ("method.temperature", "method.weight", "epochs")


def test_settings_that_go_together_are_a_list_of_grids() -> None:
    grids = [{"method": "th_kd", "method.alpha": [0.5, 1]}, {"teacher.model": ["resnet20"]}]
    study = make_study({**COMMON, "arms": {"plain": {"epochs": 9}}, "sweep": grids})
    assert list(study.arms) == [
        "plain", "method=th_kd, alpha=0.5", "method=th_kd, alpha=1", "teacher=resnet20",
    ]  # fmt: skip
    assert study.arms["method=th_kd, alpha=0.5"].method.alpha == 0.5


def test_the_axis_is_read_off_the_whole_recipe() -> None:
    study = make_study({**COMMON, "axis": "method.temperature", "arms": {"a": None, "b": {
        "method": "label_smoothing"}}})  # fmt: skip
    assert (study.axis_value("a"), study.axis_value("b")) == (4.0, None)


def test_all_problems_of_all_arms_come_at_once() -> None:
    said = problems(
        {
            **COMMON,
            "epohcs": 3,
            "against": "kdd",
            "arms": {
                "a": {"method.temprature": 2},
                "b": {"method": {"name": "kd", "temperature": 0}},
                "c": {"seeds": []},
            },
        }
    )
    assert said.count("no key 'epohcs'; nearest: epochs") == 1, "what all share is said once"
    assert "every arm: there is no key 'epohcs'" in said
    assert "arm 'a': there is no key 'method.temprature'; nearest: temperature" in said
    assert "arm 'b': 'method.temperature' is 0" in said
    assert "arm 'c': " in said
    assert "against: there is no arm 'kdd'" in said


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"arms": {"a": None, "b": {"method.temperature": 4}}}, "'a' and 'b' have equal settings"),
        ({"arms": {}}, "a study has arms, and this one has none"),
        ({"arms": ["kd"]}, "give a mapping of names"),
        ({"arms": {"a": "kd"}}, "arm 'a' is 'kd'"),
        ({"sweep": {"epochs": []}}, "sweep.epochs: the list is empty"),
        ({"sweep": ["epochs"]}, "'epochs' is no mapping of settings"),
        ({"sweep": [{"epochs": [1, 1]}]}, "'epochs=1' comes twice"),
        ({"arms": {"epochs=1": None}, "sweep": {"epochs": [1]}}, "an arm 'epochs=1' already"),
        ({"arms": {"a": None}, "axis": ["epochs"]}, "axis is ['epochs']; name one setting"),
        ({"arms": {"a": None}, "axis": "method.alpa"}, "no arm has a setting 'method.alpa'"),
        ({"arms": {"a": {"method": "label_smoothing", "teacher": None}}, "axis": "teacher"},
         "axis: teacher, and no arm has one"),
        ({"arms": {"a": {"title": "x"}}}, "no key 'title'"),
        ({"arms": {1: {"epochs": 1}, "1": {"epochs": 2}}}, "has two keys that are called '1'"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_refused(change: dict, expected: str) -> None:
    assert expected in problems({**COMMON, **change})


def test_overrides_reach_the_common_part_an_arm_and_the_sweep(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(
        "data: digits\nstudent: convnet-4\nteacher: resnet8\narms:\n  kd: {}\n"
        "  kd 1.5: {method: {name: kd, weight: 1.5}}\n  th: {method: th_kd}\n"
    )
    study = load_study(
        path,
        ["epochs=7", "data.limit=50", "arms.kd 1.5.method.weight=2", "sweep.batch=[8, 16]",
         "against=kd", "arms.th={method: dkd}"],
    )  # fmt: skip
    assert {arm.epochs for arm in study.arms.values()} == {7}
    assert {arm.data.limit for arm in study.arms.values()} == {50}
    assert study.arms["kd 1.5"].method.weight == 2
    assert study.arms["th"].method.name == "dkd"
    assert study.arms["batch=8"].batch == 8
    assert study.against == "kd"
    with pytest.raises(RecipeError, match=r"'arms.kdd.epochs' names no arm; nearest: kd"):
        load_study(path, ["arms.kdd.epochs=1"])
    with pytest.raises(RecipeError, match=r"'axis.x' cannot be reached"):
        load_study(path, ["axis.x=1"])


def test_an_override_hides_no_arm_of_the_same_name() -> None:
    arms = {1: {"epochs": 1}, "1": {"epochs": 2}}
    assert "has two keys that are called '1'" in problems(
        override_study({**COMMON, "arms": arms}, ["arms.1.batch=8"])
    )
    assert override_study({"arms": {1.5: None}}, ["arms.1.5.batch=8"])["arms"] == {
        1.5: {"batch": 8}
    }


def test_an_override_of_a_bare_word_keeps_it() -> None:
    found = override_study({"teacher": "resnet8", "arms": {}}, ["teacher.epochs=2"])
    assert found["teacher"] == {"model": "resnet8", "epochs": 2}


def test_a_recipe_without_arms_is_an_ordinary_one(tmp_path: Path) -> None:
    assert not is_study(COMMON)
    path = tmp_path / "recipe.yaml"
    path.write_text("data: digits\nstudent: convnet-4\nteacher: resnet8\n")
    assert load_recipe(path).method.name == "kd"


def test_claims_and_the_margin_are_said_in_the_recipe() -> None:
    arms = {"kd": None, "dkd": {"method": "dkd"}, "at": {"method": "at"}}
    found = make_study({**COMMON, "arms": arms, "claims": ["dkd"], "verdict": {"margin": 0.5}})
    assert (found.claims, found.margin) == (("dkd",), 0.5)
    assert make_study({**COMMON, "arms": arms, "claims": "at"}).claims == ("at",)
    said = problems({**COMMON, "arms": arms, "claims": ["dkp"]})
    assert "claims: there is no arm 'dkp'; nearest: dkd" in said
    arms["at"] = {"method": "at", "verdict.margin": 1}
    assert "verdict.margin: the arms have several" in problems({**COMMON, "arms": arms})
    assert "margin" in problems({**COMMON, "arms": {"kd": None}, "verdict": {"margin": 0}})
