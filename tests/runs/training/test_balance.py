"""A recipe that asks for balance: its own fingerprint, the same control, notes that stay."""

from pathlib import Path

import pytest

import stillhouse as sh
from stillhouse.errors import RecipeError, WiringError
from stillhouse.recipes import make_recipe, resolved


def distil(out: Path, **settings):
    return sh.distill(
        out=out,
        data={"source": "digits", "limit": 160, "augment": "none"},
        student="convnet-4-8-16",
        teacher="convnet-8-8-16",
        epochs=2,
        batch=32,
        seeds=1,
        precision="fp32",
        **settings,
    )


def notes(outcome) -> dict[str, str]:
    models = {model["role"]: model["runs"] for model in outcome.scores["models"]}
    return models["student"][0].get("notes", {})


def test_a_balanced_student_differs_from_a_plain_one_and_shares_its_control(tmp_path: Path) -> None:
    plain, even = distil(tmp_path / "a"), distil(tmp_path / "b", balance="gradient")
    assert notes(plain) == {}
    assert notes(even)["balance"].startswith("label 1, kd ")
    again = distil(tmp_path / "b", balance="gradient")
    assert notes(again) == notes(even), "a finished run still says what was settled"
    assert len(list((tmp_path / "shared").glob("control-*"))) == 1
    page = even.report.read_text(encoding="utf-8")
    assert notes(even)["balance"] in page


def test_a_method_that_cannot_be_balanced_is_refused_before_anything_is_trained(
    tmp_path: Path,
) -> None:
    with pytest.raises(WiringError, match=r"balance cannot weigh 'logits', 'size'"):
        distil(tmp_path / "a", method="annealing_kd", balance="gradient")
    assert not (tmp_path / "shared").exists()


def test_the_section_round_trips_and_is_checked() -> None:
    base = {"data": "digits", "student": "resnet8", "teacher": "resnet20"}
    recipe = make_recipe({**base, "balance": {"by": "gradient", "share": 0.5}})
    assert make_recipe(resolved(recipe)) == recipe
    assert recipe.balance is not None
    assert (recipe.balance.share, recipe.balance.batches) == (0.5, 8)
    with pytest.raises(RecipeError, match="share"):
        make_recipe({**base, "balance": {"share": 0}})
