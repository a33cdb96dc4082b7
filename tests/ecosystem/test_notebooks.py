"""The notebooks of docs/notebooks run from an empty directory, and are stored as they ran."""

import os
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import stillhouse

pytestmark = pytest.mark.ecosystem

nbformat = pytest.importorskip("nbformat")
pytest.importorskip("ipykernel")

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
MOST_BYTES = 200_000


@pytest.fixture
def executing(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script that executes them, with kernels that find the package where the tests do."""
    monkeypatch.syspath_prepend(str(FOLDER))
    place = str(Path(stillhouse.__file__).parents[1])
    before = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [place, before])))
    monkeypatch.delitem(sys.modules, "execute", raising=False)
    return import_module("execute")


def outputs(book: Any) -> list[str]:
    """What is shown, as text."""
    found = []
    for cell in book.cells:
        for output in cell.get("outputs", ()):
            held = output.get("data", {}) | {"stream": output.get("text", "")}
            found += [text for kind, text in held.items() if kind != "image/png"]
    return found


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_shows_what_is_stored(
    notebook: Path, executing: ModuleType, tmp_path: Path
) -> None:
    made = executing.executed(notebook, tmp_path)
    stored = nbformat.read(notebook, as_version=4)
    kinds = [
        [[sorted(output.get("data", {"text": ""})) for output in cell.outputs]
         for cell in book.cells if cell.cell_type == "code"]
        for book in (made, stored)
    ]  # fmt: skip
    assert kinds[0] == kinds[1], "execute them anew: python docs/notebooks/execute.py"
    for book in (made, stored):
        assert not [text for text in outputs(book) if str(tmp_path) in text or "Traceback" in text]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_stored_notebook_is_small_and_tells_no_machine(notebook: Path) -> None:
    book = nbformat.read(notebook, as_version=4)
    assert notebook.stat().st_size < MOST_BYTES
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    shown = "\n".join(outputs(book))
    assert not [place for place in ("/tmp", "/home", "/root", "/work", "\\Users") if place in shown]
    assert "site-packages" not in shown


def test_there_are_three() -> None:
    assert len(NOTEBOOKS) == 3
