"""Tables and numbers of the docs are those of the result files, judged by the test of today."""

import doctest
import importlib
import json
import math
import statistics
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [*sorted((ROOT / "docs/evidence").glob("*.md")), ROOT / "docs/results.md"]
FURTHER = [ROOT / "README.md"]
FURTHER += [
    ROOT / f"docs/{name}.md"
    for name in ("statistics", "deploy", "first-hour", "many-machines", "running")
]
RESULTS = sorted((ROOT / "benchmarks/results").glob("*.json"))


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module


@pytest.mark.parametrize("page", [*PAGES, *FURTHER], ids=lambda page: page.stem)
def test_its_tables_are_those_of_the_result_files(benchmark, page: Path) -> None:
    evidence, text = benchmark("evidence"), page.read_text()
    assert page in evidence.PAGES
    assert evidence.written(text) == text, "python benchmarks/evidence.py writes them anew"
    assert text.count("<!-- end -->") == len(evidence.MARKED.findall(text)), "each mark is read"


def test_what_ls_says_of_methods_is_that_of_the_result_file(benchmark) -> None:
    measured = benchmark("measured_methods")
    assert measured.MEASURED.read_text() == measured.text(), "python benchmarks/measured_methods.py"


def test_a_word_that_was_changed_by_hand_is_written_anew(benchmark) -> None:
    text = (ROOT / "docs/evidence/teacher-free.md").read_text()
    wrong = text.replace("**helps**", "no difference shown")
    assert wrong != text
    assert benchmark("evidence").written(wrong) == text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_no_table_and_no_number_is_written_by_hand(benchmark, page: Path) -> None:
    prose, text = benchmark("prose"), page.read_text()
    by_hand = [line for line in prose.without_tables(text).splitlines() if line.startswith("|")]
    assert not by_hand
    assert prose.unexplained(text) == []
    assert prose.unused(text) == []


def test_a_number_that_no_file_has_is_found(benchmark) -> None:
    told = "<!-- mnist-kd.json: kd -->\n| 1.25 |\n<!-- end -->"
    page = f"A gain of 1.25 points, or 1.3; of 7.77; 3,000 images, not 3,001.\n{told}"
    prose = benchmark("prose")
    assert [number for number, _ in prose.unexplained(page)] == ["7.77", "3,001"]
    assert prose.unexplained(f"<!-- from elsewhere: 7.77 and 3,001 (a paper) -->\n{page}") == []
    assert prose.unused("<!-- from elsewhere: 7.77 (a paper) -->\n") == ["7.77"]


@pytest.mark.parametrize(
    "module",
    [
        "tables.bare",
        "tables.by_method",
        "tables.hour",
        "tables.recorded",
        "tables.seeds",
        "tables.words",
    ],
)
def test_its_examples_are_true(benchmark, module: str) -> None:
    found = doctest.testmod(benchmark(module))
    assert found.attempted
    assert not found.failed


def test_a_strange_mark_is_told(benchmark) -> None:
    with pytest.raises(
        ValueError, match="no table is called stars; there are actors, answers, arms"
    ):
        benchmark("evidence").written("<!-- mnist-kd.json: stars -->\n<!-- end -->")


def test_the_words_of_before_are_those_that_the_studies_wrote(benchmark) -> None:
    """The test of before, computed from the seeds, gives the words and p that are in the files."""
    words, restored = benchmark("tables.words"), benchmark("tables.restored").restored
    compared, page = 0, (ROOT / "docs/evidence/words.md").read_text()
    for path in RESULTS:
        if path.name not in page:  # of the test of today
            continue
        result = json.loads(path.read_text())
        # Only studies of before have words of before; they do not name their task either.
        before_today = "study" in result and "task" not in result["study"]
        for column in words.columns(restored(result)) if before_today else ():
            kept = "gain" if column.title == "over its control" else "over_against"
            for arm in result["study"]["arms"]:
                if arm.get(kept):
                    before, compared = column.before[arm["name"]], compared + 1
                    assert before.word == arm[kept]["word"]
                    assert before.p_holm == pytest.approx(arm[kept]["p_holm"], rel=1e-3)
    assert compared == 378


def test_what_a_file_lacks_is_said(benchmark) -> None:
    """And a file that has it gets its columns: the metric on training rows, the wider interval."""
    result = json.loads((ROOT / "benchmarks/results/cifar100-data-free.json").read_text())
    arms = benchmark("tables.arms").arms
    told = arms({"old": result}, [])
    assert "Not recorded: training accuracy" in told
    assert "answers per test row" in told
    dafl = next(arm for arm in result["study"]["arms"] if arm["name"] == "dafl")
    dafl["runs"]["training"] = [0.5, 0.25, 0.75]
    dafl["cautions"] = ["The control still rose."]
    errors = {"over_seeds": 0.02, "over_rows": 0.01}
    dafl["with_rows"] = {"rows": 10000, "low": -0.15, "high": 0.01, **errors}
    told = arms({"new": result}, [])
    assert "| corrected | train, % | gain for other rows too |" in told
    (line,) = (line for line in told.splitlines() if line.startswith("| dafl |"))
    assert line.endswith("| 50.00 | \u221215.00 to +1.00 |")
    assert "Not recorded: claims or a margin said before.\n- dafl: The control still rose." in told


def test_a_study_is_kept_with_what_the_tables_show(benchmark, tmp_path: Path) -> None:
    run = {"seed": 0, "seconds": 1.0, "test": {"last": 0.5, "best": 0.5}}
    arm = {"name": "kd", "directory": "kd", "runs": [run], "controls": [run], "fingerprint": "f"}
    arm["with_rows"] = {"low": 0.0, "high": 0.1}
    models = [{"role": "control", "runs": [{**run, "training": 0.99}]}]
    (tmp_path / "kd").mkdir()
    (tmp_path / "kd/scores.json").write_text(json.dumps({"models": models}))
    (kept,) = benchmark("study_result").compact({"arms": [arm]}, tmp_path)["arms"]
    assert kept["controls"]["training"] == [0.99]
    assert "training" not in kept["runs"]
    assert kept["with_rows"] == {"low": 0.0, "high": 0.1}
    assert "fingerprint" not in kept


def test_claims_have_the_numbers_of_their_study(benchmark) -> None:
    """A claim over another arm than the study's own is the paired t-test of these two by itself."""
    module = benchmark("tables.claims")
    claimed = {each.claim: each for each in module.every()}
    result = json.loads((ROOT / "benchmarks/results/cifar100-projector-study.json").read_text())
    table = module.claims({"cifar100-projector-study.json": result}, [])
    claim = claimed["LogSum is better than a squared error"]
    arms = {arm["name"]: arm["runs"]["last"] for arm in result["study"]["arms"]}
    gains = [100 * (a - b) for a, b in zip(arms[claim.arm], arms[claim.over], strict=True)]
    mean, spread = statistics.fmean(gains), statistics.stdev(gains)
    half = 4.302653 * spread / math.sqrt(len(gains))  # t of 2 degrees of freedom
    told = f"{mean:+.2f} ({mean - half:+.2f} to {mean + half:+.2f})"
    assert told.replace("-", "\u2212") in table
    assert f"- **{claim.claim}**: {claim.means}" in table


def test_a_claim_by_a_figure_is_paired_over_the_seeds(benchmark) -> None:
    """The file itself holds the gain of each arm over its control with the interval over seeds."""
    module = benchmark("tables.claims")
    study = json.loads((ROOT / "benchmarks/results/lfw-verification.json").read_text())["study"]
    for arm in study["arms"]:
        for name, kept in arm["figures"][0]["gains"].items():
            gain, _ = module._figure_gain(
                module.Claim("", "", "", "", arm["name"], "", "", figure=("test", name)), study
            )
            assert gain.mean == pytest.approx(kept["value"])
            assert (gain.low, gain.high) == pytest.approx((kept["seeds_low"], kept["seeds_high"]))
