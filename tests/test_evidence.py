"""The tables of the evidence are those of the result files, judged by the test of today."""

import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs/evidence").glob("*.md"))


@pytest.fixture
def evidence(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("evidence")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_its_tables_are_those_of_the_result_files(evidence, page: Path) -> None:
    text = page.read_text()
    assert evidence.rewritten(text) == text, "python benchmarks/evidence.py writes them anew"
    assert text.count("<!-- end -->") == len(evidence.MARKED.findall(text)), "each mark is read"


def test_a_table_of_arms_is_marked(evidence) -> None:
    texts = [page.read_text() for page in PAGES]
    headers = sum(text.count("\n| arm | test, %") for text in texts)
    marked = [found[1] for text in texts for found in evidence.MARKED.findall(text)]
    assert headers == 10
    assert (marked.count("table"), marked.count("gains")) == (9, 2)
