"""What the terminal says below the table of a study: how many comparisons were corrected for."""

from pathlib import Path

import pytest
from study_of_twelve import study_of_twelve

from stillhouse.cli.study_table import print_study
from stillhouse.cli.terminal import Terminal
from stillhouse.records.checked import write_checked


def printed(folder: Path, capsys: pytest.CaptureFixture[str], *without: str) -> str:
    table = study_of_twelve()
    for arm in table["arms"]:
        arm |= dict.fromkeys(without)
    write_checked(folder / "study.json", table)
    print_study(Terminal(width=200), folder)
    return " ".join(capsys.readouterr().out.split())


def test_both_kinds_of_comparison_are_counted(tmp_path: Path, capsys) -> None:
    said = printed(tmp_path, capsys)
    assert (
        "all comparisons of a kind, 11 with controls and 10 with kd (moderated paired t-test"
        in said
    )


def test_a_study_without_controls_is_judged_against_its_arm(tmp_path: Path, capsys) -> None:
    said = printed(tmp_path, capsys, "gain")
    assert "comparisons of a kind, 10 with kd (moderated" in said
    assert "nothing is judged" not in said


def test_without_any_comparison_nothing_is_judged(tmp_path: Path, capsys) -> None:
    said = printed(tmp_path, capsys, "gain", "over_against")
    assert "nothing to compare with, nothing is judged" in said
