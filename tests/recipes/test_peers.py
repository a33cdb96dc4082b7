"""Peers in a recipe: shorthands, defaults, what is written out, what is refused."""

import pytest
import yaml

from stillhouse.errors import RecipeError
from stillhouse.recipes import make_recipe, make_study, override, resolved

DML = {"data": "digits", "student": "resnet8", "method": "dml"}


def models(**changes: object) -> list[str]:
    return [each.model for each in make_recipe({**DML, **changes}).peers]


def test_peers_are_names_sections_or_how_many() -> None:
    assert models(peers=["resnet20", {"model": "wrn_16_2"}]) == ["resnet20", "wrn_16_2"]
    assert models(peers="resnet20") == models(peers={"model": "resnet20"}) == ["resnet20"]
    assert models(peers=2) == ["resnet8", "resnet8"]
    assert models(peers=2, student={"model": "resnet14"}) == ["resnet14", "resnet14"]
    assert models() == models(method={"name": "dml", "weight": 2}) == ["resnet8"], "one by default"
    assert make_recipe({**DML, "method": "plain"}).peers is None
    assert [each.model for each in make_recipe(override(DML, ["peers=3"])).peers] == ["resnet8"] * 3


@pytest.mark.parametrize("peers", [None, 2, ["resnet20", "resnet8"]])
def test_what_is_written_out_says_the_same(peers: object) -> None:
    recipe = make_recipe({**DML, "peers": peers})
    written = yaml.safe_load(yaml.safe_dump(resolved(recipe)))
    file = {"weights", "weights_key", "weights_prefix", "weights_head", "start", "lr_scale"}
    keys = {"model", "head_path", "output", "arguments", "frozen", *file}
    assert all(set(each) == keys for each in written["peers"])
    assert make_recipe(written) == recipe


def test_the_title_names_them() -> None:
    assert (
        make_recipe({**DML, "peers": ["resnet20"]}).title
        == "resnet8 beside resnet20 on digits by dml"
    )


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"method": "plain", "peers": 1}, "method 'plain' takes no peers; leave peers out"),
        ({"peers": []}, "method 'dml' needs peers; add peers: 1, or name them: [resnet20]"),
        ({"peers": 0}, "peers is 0; say how many networks learn beside the student"),
        ({"peers": True}, "peers is True; say how many"),
        ({"teacher": "resnet20", "student": {"derive": "thinner"}}, "derived from a teacher, so"),
        ({"peers": 1.5}, "peers is 1.5; say how many"),
        ({"peers": [{"modl": "x"}]}, "there is no key 'peers.0.modl'; nearest: model"),
        ({"peers": [{"model": "resnet8", "epochs": 2}]}, "there is no key 'peers.0.epochs'"),
        ({"seeds": [1000]}, "give the students seeds below 1000"),
        (
            {"method": "kd", "teacher": {"model": "resnet8", "method": "dml"}},
            "method 'dml' needs peers, and a teacher is trained without any",
        ),
        ({"cache": "always"}, "'dml' has no teacher to record"),
    ],
)  # fmt: skip
def test_what_is_refused(change: dict[str, object], expected: str) -> None:
    with pytest.raises(RecipeError) as caught:
        make_recipe({**DML, **change})
    assert expected in str(caught.value)


def test_arms_of_a_study_have_peers_of_their_own() -> None:
    study = make_study(
        {
            "data": "digits",
            "student": "resnet8",
            "method": "plain",
            "arms": {
                "plain": {},
                "equal": {"method": "dml"},
                "large": {"method": "dml", "peers": ["resnet20"]},
                "other": {"method": "dml", "student": "resnet14"},
            },
        }
    )
    found = {
        name: arm.peers and [each.model for each in arm.peers] for name, arm in study.arms.items()
    }
    assert found == {
        "plain": None,
        "equal": ["resnet8"],
        "large": ["resnet20"],
        "other": ["resnet14"],
    }
