"""docs/python.md does what it says."""

import re
from pathlib import Path

import pytest

import stillhouse as sh
from stillhouse.errors import RecipeError

pytestmark = pytest.mark.ecosystem

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "python.md").read_text()


def test_its_code_runs_from_top_to_bottom(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    known: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        small = block.replace("resnet20", "convnet-4-8").replace("epochs=20", "epochs=1")
        exec(compile(small.replace('"epochs": 20', '"epochs": 1'), "python.md", "exec"), known)
    assert len(known["losses"]) == 3, "the students alone; teacher and controls were found finished"
    assert "Of 2 arms" in capsys.readouterr().out


def test_its_answers_are_those_that_are_given(tmp_path: Path) -> None:
    told = re.findall(r">>> sh.distill\(\.\.\., (\w+)=(\S+)\)\nRecipeError: (.*)\n", PAGE)
    assert len(told) == 2
    for key, value, answer in told:
        with pytest.raises(RecipeError) as found:
            sh.distill(data="digits", teacher="resnet20", student="resnet8", out=tmp_path / "run",
                       **{key: float(value) if "." in value else int(value)})  # fmt: skip
        assert str(found.value) == answer


@pytest.mark.parametrize("kind", [sh.EpochEnd])
def test_every_field_of_an_epoch_is_told(kind: type) -> None:
    fields = kind.__dataclass_fields__
    assert [name for name in fields if f"`{name}`" not in PAGE] == []
