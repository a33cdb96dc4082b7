"""Files of weights in a recipe: which part of a file, which names, and a head that starts new."""

from pathlib import Path

import pytest
import torch
import yaml

from stillhouse.models import build_model

NAME = "convnet-4-4"


@pytest.fixture
def check(command, tmp_path: Path):
    """`stillhouse check` with a teacher of two.pt or large.pt, and what it said in one line."""
    ours, other = (build_model(NAME, classes=10, channels=1, size=8) for _ in range(2))
    large = build_model(NAME, classes=100, channels=1, size=8)
    torch.save({"now": ours.state_dict(), "ema": other.state_dict()}, tmp_path / "two.pt")
    both = {f"a.{name}": value for name, value in ours.state_dict().items()}
    both |= {f"b.{name}": value for name, value in other.state_dict().items()}
    torch.save(both, tmp_path / "both.pt")
    torch.save(large.state_dict(), tmp_path / "large.pt")

    def run(file: str, **keys: str) -> tuple[int, str]:
        teacher = {"model": NAME, "weights": file, **keys}
        recipe = {
            "data": {"source": "digits", "limit": 100},
            "student": NAME,
            "teacher": teacher,
            "method": "kd",
        }
        (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
        said = command("check", "recipe.yaml")
        return said.code, " ".join((said.out + said.err).split())

    return run


@pytest.mark.parametrize(
    ("file", "keys", "told"),
    [
        ("two.pt", {}, "say which, such as weights_key: ema"),
        ("two.pt", {"weights_key": "emma"}, "weights_key 'emma'"),
        ("both.pt", {"weights_prefix": "c"}, "weights_prefix 'c'"),
        ("large.pt", {}, "say weights_head: new"),
        ("large.pt", {"weights_head": "old"}, "weights_head"),
    ],
)
def test_what_is_not_clear_or_not_there_is_one_sentence(
    check, file: str, keys: dict[str, str], told: str
) -> None:
    code, said = check(file, **keys)
    assert code == 2
    assert told in said


def test_a_part_of_a_file_and_a_new_head(check) -> None:
    assert check("two.pt", weights_key="ema")[0] == 0
    code, said = check("large.pt", weights_head="new")
    assert code == 0
    assert "its classifier is new; it will be trained first" in said
