"""The same call of a fit finds a finished one; another call is told, and overwrites nothing."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from stillhouse.engine.fit import FitResult, fit
from stillhouse.errors import RunError
from stillhouse.methods import plain

ROWS = [(torch.full((4,), float(at % 2)), at % 2) for at in range(16)]


def fitted(out: Path, rows: Any = ROWS, seed: int = 0, epochs: int = 2) -> FitResult:
    torch.manual_seed(seed)
    return fit(plain(nn.Linear(4, 2)), rows, epochs=epochs, batch_size=8, directory=out)


def test_the_same_call_trains_once(tmp_path: Path) -> None:
    first = fitted(tmp_path)
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.iterdir()}
    again = fitted(tmp_path)
    assert (first.reused, again.reused) == (False, True)
    assert torch.equal(again.last["student"]["weight"], first.last["student"]["weight"])
    assert again.history == first.history
    after = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.iterdir()}
    assert after == before


def test_another_call_is_told(tmp_path: Path) -> None:
    fitted(tmp_path)
    others: tuple[dict[str, Any], ...] = ({"seed": 1}, {"rows": [(x + 1, y) for x, y in ROWS]})
    for other in others:
        with pytest.raises(RunError, match="a finished fit of 2 epochs, which began with other"):
            fitted(tmp_path, **other)
    with pytest.raises(RunError, match="has identity"):
        fitted(tmp_path, epochs=3)
    (tmp_path / "checkpoint.pt").unlink()
    assert not fitted(tmp_path, seed=1).reused
