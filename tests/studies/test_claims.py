"""What is said before a study is run, its claims and its margin, and what becomes of them."""

from pathlib import Path

import pytest
from study_of_twelve import study_of_twelve

from stillhouse.errors import RunError
from stillhouse.recipes.study import make_study
from stillhouse.records.checked import write_checked
from stillhouse.studies.arms import could_show
from stillhouse.studies.comparisons import comparisons
from stillhouse.studies.directory import check_claims
from stillhouse.verdict.paired import Paired

COMMON = {"data": "digits", "teacher": "resnet8", "student": "convnet-4", "seeds": 3}
ARMS = {"kd": None, "dkd": {"method": "dkd"}, "two": {"method.weight": 2}}


def test_claims_are_corrected_by_themselves() -> None:
    column = {name: Paired(0.02, 1e-4, 3) for name in ("a", "b", "c")} | {"d": None}
    together, apart = comparisons(column), comparisons(column, ["b"])
    alone = together["a"].p
    assert together["b"].p_holm == pytest.approx(3 * alone)
    assert apart["b"].p_holm == pytest.approx(alone)
    assert apart["a"].p_holm == pytest.approx(2 * alone)
    assert together["d"] is None


def test_a_margin_makes_two_networks_equivalent() -> None:
    column = {"same": Paired(0.0, 1e-6, 5), "better": Paired(0.02, 1e-6, 5)}
    found = comparisons(column, margin=0.005)
    assert [one.word for one in found.values()] == ["equivalent within the margin", "helps"]
    assert found["same"].p_equivalent < 0.05 <= found["better"].p_equivalent
    assert comparisons(column)["same"].p_equivalent is None


def test_claims_cannot_be_chosen_by_their_numbers(tmp_path: Path) -> None:
    said = {**COMMON, "arms": ARMS, "claims": ["dkd"]}
    check_claims(make_study(said), tmp_path)
    table = study_of_twelve() | {"claims": ["dkd"]}
    write_checked(tmp_path / "study.json", table)
    check_claims(make_study(said), tmp_path)
    with pytest.raises(RunError, match="were dkd when its first arm was run, and are none now"):
        check_claims(make_study({**said, "claims": []}), tmp_path)
    for arm in table["arms"]:
        arm["state"] = "waiting"
    write_checked(tmp_path / "study.json", table)
    check_claims(make_study({**said, "claims": []}), tmp_path)


def test_what_the_seeds_can_show_is_known_before() -> None:
    study = make_study({**COMMON, "arms": ARMS, "claims": ["dkd"]})
    assert could_show(study).startswith("3 seeds and 3 arms, one of them a claim: a gain of about")
    mixed = make_study({**COMMON, "arms": {**ARMS, "two": {"seeds": 2}}, "claims": ["dkd", "dkd"]})
    said = could_show(mixed)
    assert said.startswith("3 seeds and 2 arms, one of them a claim: a gain of about")
    assert said.endswith("; of 1 with fewer seeds than 3 no word is said")
    few = make_study({**COMMON, "seeds": 2, "arms": ARMS})
    assert could_show(few).startswith("2 seeds are too few to tell")
