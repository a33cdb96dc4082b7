"""What a student costs by runtime: quartiles, turns, the table, what is missing or refused."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import stillhouse as sh
from stillhouse.cli.app import app
from stillhouse.cli.bench import table
from stillhouse.deploy import bench as room
from stillhouse.deploy.bench import Bench, Latency, RuntimeCosts
from stillhouse.deploy.onnx import Parity
from stillhouse.deploy.peak_memory import PeakMemory, held_at_most, peak_memory
from stillhouse.errors import RecipeError

pytestmark = pytest.mark.programs


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bench") / "run"
    sh.distill(
        data={"source": "digits", "limit": 100},
        student="convnet-2-4",
        teacher="convnet-2-4",
        out=out,
        epochs=1,
        seeds=1,
        batch=32,
        control=False,
    )
    return out


@pytest.fixture
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a process for the memory, which takes seconds."""
    monkeypatch.setattr(room, "peak_memory", lambda *_, **__: None)


def test_a_latency_has_the_quartiles_of_numpy() -> None:
    seconds = np.random.default_rng(0).random(23)
    found = Latency.of(list(seconds))
    wanted = 1000 * np.percentile(seconds, [25, 50, 75])
    assert [found.low, found.median, found.high] == pytest.approx(wanted, abs=1e-4)
    assert found.spread == pytest.approx((wanted[2] - wanted[0]) / 2, abs=1e-4)


def test_runtimes_answer_in_turns_and_one_that_is_missing_is_a_line(
    finished: Path, unmeasured: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    try:
        found = sh.bench(finished, runtimes=("torch", "onnx"), threads=1, seconds=0, batches=(1, 3))
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)
    mine, missing = found.runtimes
    assert missing.why is not None
    assert "pip install 'stillhouse[onnx]'" in missing.why
    assert missing.latency is None
    assert {batch: each.answers for batch, each in mine.latency.items()} == {1: 5, 3: 5}
    assert mine.throughput == pytest.approx(3000 / mine.latency[3].median, rel=1e-3)
    assert mine.file_bytes == (finished / "student/model.safetensors").stat().st_size
    assert mine.parity == Parity(mine.parity.rows, 0.0, mine.parity.scale, mine.parity.rows, 0.0)
    assert found.conditions["threads"] == 1
    assert found.image == (1, 8, 8)


def test_the_command_says_what_is_missing_and_all_numbers_as_json(
    finished: Path, unmeasured: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    asked = [
        "bench",
        str(finished),
        "--runtime",
        "torch",
        "--runtime",
        "onnx-int8",
        "--seconds",
        "0",
    ]
    told = CliRunner().invoke(app, asked)
    assert told.exit_code == 0, told.output
    assert "convnet-2-4" in told.stdout
    assert "1 thread of" in told.stdout
    assert "onnxruntime int8: not measured." in told.stdout
    found = json.loads(CliRunner().invoke(app, [*asked, "--json"]).stdout)
    assert [each["runtime"] for each in found["runtimes"]] == ["torch", "onnx-int8"]
    assert found["runtimes"][0]["latency"]["64"]["answers"] == 5


def test_a_runtime_that_breaks_is_a_line_and_the_others_are_measured(
    finished: Path, unmeasured: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no compiler")

    monkeypatch.setattr(torch, "compile", broken)
    compiled, mine = sh.bench(finished, runtimes=("compiled", "torch"), seconds=0).runtimes
    assert compiled.why == "it does not run here (RuntimeError: no compiler)"
    assert mine.why is None


def test_the_largest_table_has_eighty_columns() -> None:
    slow = {1: Latency(12345.6, 1.0, 9999.0, 5), 64: Latency(99.94, 10.0, 80.0, 5)}
    rows = RuntimeCosts("onnx-int8", None, slow, 123_456.7, PeakMemory(98_765_000_000, 1),
                        987_654_321, Parity(64, 0.1, 1.0, 64, 0.05))  # fmt: skip
    where = {"processor": "A " * 60, "processors": 128, "threads": 64, "torch": "2.13.0+cpu"}
    absent = RuntimeCosts("compiled", "it does not run " * 20)
    lines = list(table(Bench("timm:" + "long_" * 10, 10**9, (3, 224, 224), where, (rows, absent))))
    assert max(map(len, lines)) <= 80
    (row,) = [line for line in lines if line.startswith("onnxruntime int8")]
    assert row.split() == ["onnxruntime", "int8", "12346", "±4999", "99.94", "±35.00", "123,457",
                           "98765", "987,654", "64/64"]  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"runtimes": ["onxx"]}, "no runtime 'onxx'; there is: torch, compiled, onnx, onnx-int8"),
        ({"runtimes": []}, "no runtime is asked for"),
        ({"threads": 0}, "threads is 0; give a whole number from 1 on"),
        ({"batches": (0,)}, r"batches are \[0\]"),
    ],
)
def test_what_cannot_be_asked(asked: dict, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        sh.bench("nowhere", **asked)


def test_memory_of_a_process_that_fails_is_not_known(tmp_path: Path) -> None:
    assert peak_memory("onnx", tmp_path / "no.onnx", tmp_path / "no.npy", threads=1) is None
    assert held_at_most() > 10_000_000
