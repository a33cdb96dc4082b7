"""Keys of the data section that choose classes: what may be written, and where a file is found."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from stillhouse.errors import RecipeError
from stillhouse.recipes import load_recipe, load_study, make_recipe, resolved

FACES = {"student": "resnet8", "method": "plain", "task": "verification"}


def section(**asked):
    return make_recipe({**FACES, "data": {"source": "faces", **asked}})


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (20, 20), (0.2, 0.2), ("20", 20), ("0.2", 0.2), (0, 0), (np.int64(3), 3),
        ([3, "cat"], ("3", "cat")), ("cat", ("cat",)), (np.array([3, 5]), ("3", "5")),
        (("s1", "s2"), ("s1", "s2")),
    ],
)  # fmt: skip
def test_unseen_is_a_number_a_share_or_names(given, read):
    recipe = section(unseen=given)
    assert recipe.data.unseen == read
    again = make_recipe(yaml.safe_load(yaml.safe_dump(resolved(recipe))))
    assert again == recipe


def test_the_resolved_recipe_has_every_key():
    written = resolved(section(pairs="p.csv", folds=[6, 7], min_per_class=4))["data"]
    known = {key: written[key] for key in ("unseen", "pairs", "folds", "min_per_class")}
    assert known == {"unseen": 0, "pairs": "p.csv", "folds": [6, 7], "min_per_class": 4}


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"unseen": 1.5}, "data.unseen: it is 1.5; give a share"),
        ({"unseen": -1}, "data.unseen: it is -1; give a share"),
        ({"unseen": True}, "data.unseen: it is true; it must be a word or a number"),
        ({"unseen": [["a"]]}, r"it names \['a'\]; a class is named by a word or a number"),
        ({"unseen": [0.5]}, "it names 0.5"),
        ({"unseen": {"a": 1}}, "data.unseen: it is {'a': 1}; give a share"),
        ({"folds": []}, "'data.folds' is .*at least 1 item"),
        ({"folds": 6}, "'data.folds' is 6"),
        ({"folds": [1.5, 2]}, "'data.folds.0' is 1.5"),
        ({"folds": [-1, 2]}, "'data.folds.0' is -1"),
        ({"min_per_class": 0}, "'data.min_per_class' is 0"),
        ({"pairs": 3}, "'data.pairs' is 3"),
        ({"fold": [1, 2]}, "there is no key 'data.fold'; nearest: folds"),
    ],
)
def test_what_is_none_of_them_is_refused(asked, said):
    with pytest.raises(RecipeError, match=said):
        section(**asked)


def test_a_file_beside_the_recipe_is_found_from_anywhere(tmp_path: Path, monkeypatch):
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "here.csv").write_text("first,second,same\n")
    text = {**FACES, "data": {"source": "faces", "pairs": "here.csv"}}
    path = tmp_path / "recipes" / "a.yaml"
    path.write_text(yaml.safe_dump(text))
    assert load_recipe(path).data.pairs == tmp_path / "recipes" / "here.csv"
    monkeypatch.chdir(tmp_path)
    assert load_recipe(Path("recipes/a.yaml")).data.pairs == Path("recipes/here.csv")
    assert load_recipe(path, ["data.pairs=there.csv"]).data.pairs == Path("there.csv")
    text["data"]["pairs"] = "there.csv"  # in the folder of the data, maybe
    path.write_text(yaml.safe_dump(text))
    assert load_recipe(path).data.pairs == Path("there.csv")
    arms = {"a": {"data": {"pairs": "here.csv"}}, "b": {"epochs": 2}}
    path.write_text(yaml.safe_dump({**text, "arms": arms}))
    found = load_study(path).arms
    assert found["a"].data.pairs == tmp_path / "recipes" / "here.csv"
    sweep = {"data.pairs": ["here.csv", "there.csv"]}
    path.write_text(yaml.safe_dump({**text, "sweep": sweep}))
    places = {str(arm.data.pairs) for arm in load_study(path).arms.values()}
    assert places == {str(tmp_path / "recipes" / "here.csv"), "there.csv"}
