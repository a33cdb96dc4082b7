"""The measurement of a card works before there is one: all of it on the processor, tiny."""

import importlib
import json
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import recorded
import torch
from torch import nn

from stillhouse.engine import graphs, trainer

ROOT = Path(__file__).parents[1]


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    return importlib.import_module


@pytest.fixture
def as_on_a_card(monkeypatch: pytest.MonkeyPatch) -> None:
    """Graphs can be recorded, and nothing is compiled: that takes minutes for so many networks."""
    monkeypatch.setattr(trainer, "graphs_problem", lambda platform: None)
    monkeypatch.setattr(graphs, "capture", recorded.capture)
    monkeypatch.setattr(nn.Module, "compile", lambda self, **how: recorded.overwrite(self))
    monkeypatch.setattr(torch.compiler, "cudagraph_mark_step_begin", lambda: None)
    monkeypatch.setattr(torch.compiler, "reset", lambda: None)


@pytest.mark.usefixtures("as_on_a_card")
def test_all_of_it_runs_on_a_processor(
    benchmark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu = benchmark("gpu")
    monkeypatch.setattr(gpu, "TOY", gpu.TOY[:1])
    monkeypatch.setattr(gpu, "PRECISIONS", ("tf32", "bf16"))
    gpu.main(["--toy", "--out", str(tmp_path / "gpu.json")])
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert found["left_out"] == {}
    assert set(found["epochs"]["left_out"]) <= {"torchdistill"}, "where it is not installed"
    checks, same = found["checks"], {"same_bits": True, "largest_difference": 0.0}
    assert checks["cached is live"] == {"cached": same, "repeated": same}
    assert checks["resumed is whole"] == checks["graphs beside eager"] == same
    scaler = checks["fp16 scaler"]
    assert scaler["overflow_moves_nothing"]
    assert scaler["overflow_halves_the_scale"]
    assert scaler["relative_gap_to_fp32"] < 0.01
    (of,) = found["steps"].values()
    assert list(of) == ["tf32", "bf16"]
    for each in of.values():
        assert list(each) == ["eager", "compiled", "graphs"]
        assert set(each["eager"]) - set(each["graphs"]) == {"plain, by hand", "live, by hand"}
        assert all(step["ms"] > 0 for form in each.values() for step in form.values())
    (shares,) = found["share_of_bf16_product"].values()
    assert shares["operations"]["live"] > shares["operations"]["plain"] > 0
    assert set(shares["graphs"]) == {"plain", "live", "cached"}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_both_kinds_of_networks_compile(benchmark, tmp_path: Path) -> None:
    """In all precisions, with the code generator; graphs are left out, with the reason."""
    benchmark("gpu").main(["--toy", "--out", str(tmp_path / "gpu.json"), "--minutes", "30"])
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert all("graphs" in name for name in found["left_out"])
    assert all("this runs on cpu" in why for why in found["left_out"].values())
    assert found["checks"]["compiled beside eager"]["largest_difference"] < 1e-3


def test_without_a_card_nothing_is_measured(benchmark) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a card")
    with pytest.raises(SystemExit, match="no CUDA card here; --toy tries all of it"):
        benchmark("gpu").main([])


def test_a_card_is_timed_by_its_own_events(benchmark, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of four steps in 20 ms each takes 5 ms, whenever the host was done with asking."""
    clock, asked = benchmark("card.clock"), []

    class Event:
        def __init__(self, *, enable_timing: bool) -> None:
            assert enable_timing

        def record(self) -> None:
            asked.append("record")

        def elapsed_time(self, last: "Event") -> float:
            return 20.0

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: asked.append("wait"))
    seconds, host = clock.once(lambda steps: asked.append(steps), 4, torch.device("cuda"))
    assert asked == ["wait", "record", 4, "record", "wait"]
    assert seconds == pytest.approx(0.005)
    assert host < 0.005


def test_waiting_is_counted_as_torch_says_it(benchmark, monkeypatch: pytest.MonkeyPatch) -> None:
    modes: list[str] = []
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", modes.append)

    def step(count: int) -> None:
        for _ in range(count):
            warnings.warn("called a synchronizing CUDA operation", stacklevel=1)

    assert benchmark("card.correct")._heard(step, torch.device("cuda")) == 3
    assert modes == ["warn", "default"]


def test_what_time_does_not_suffice_for_is_said(benchmark, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, now = benchmark("card.clock"), [0.0]
    monkeypatch.setattr(clock, "time", SimpleNamespace(monotonic=lambda: now[0]))
    budget = clock.Budget(60)

    def forty() -> str:
        now[0] += 40
        return "done"

    assert budget.spend("compiled", "first", forty) == "done"
    assert budget.spend("compiled", "second", forty) is None
    assert budget.spend("eager", "third", lambda: 1 // 0) is None
    assert budget.left_out == {
        "second": "20 s were left",
        "third": "ZeroDivisionError: integer division or modulo by zero",
    }
