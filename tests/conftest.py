"""What many tests share: tiny data, tiny models, one platform."""

import errno
import io
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from stillhouse.cli import main
from stillhouse.data.augment import Augment
from stillhouse.data.batches import Batches
from stillhouse.data.tables import ImageTable
from stillhouse.engine.platform import Platform, open_platform

# Tests in several processes are given a width of 80; only a test itself gives what it prints one.
os.environ.pop("COLUMNS", None)

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="module", autouse=True)
def without_programs(request: pytest.FixtureRequest) -> Iterator[None]:
    """No ``model.pt2`` in modules that are not marked: tracing takes most of a small run's time."""
    with pytest.MonkeyPatch.context() as patch:
        if request.node.get_closest_marker("programs") is None:
            patch.setattr("stillhouse.deploy.folder.write_program", lambda *_, **__: False)
        yield


@pytest.fixture(scope="session")
def platform() -> Platform:
    return open_platform(device="cpu", precision="fp32")


@pytest.fixture
def shared_data() -> Path:
    if not SHARED_DATA.is_dir():
        pytest.skip("the real data sets are not beside this checkout (../shared/data)")
    return SHARED_DATA


@pytest.fixture
def read_only(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Let a folder be as on a read-only disk: root may write anywhere, so each call is refused."""

    def begin(folder: Path) -> None:
        def guarded(call: Callable[..., Any], writes: Callable[..., bool]) -> Callable[..., Any]:
            def refuse(*given: Any, **named: Any) -> Any:
                for place in (*given[:2], named.get("dir")):
                    under = isinstance(place, str | Path) and folder in Path(place, "x").parents
                    if under and writes(*given[1:], **named):
                        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(place))
                return call(*given, **named)

            return refuse

        def opens(flags: int, *_: Any, **__: Any) -> bool:
            return bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))

        def modes(mode: str = "r", *_: Any, **__: Any) -> bool:
            return not set("wax+").isdisjoint(mode)

        monkeypatch.setattr(os, "open", guarded(os.open, opens))
        monkeypatch.setattr(io, "open", guarded(io.open, modes))
        for room, name in ((os, "mkdir"), (os, "replace"), (os, "unlink"),
                           (tempfile, "TemporaryFile")):  # fmt: skip
            monkeypatch.setattr(room, name, guarded(getattr(room, name), lambda *_, **__: True))

    return begin


@pytest.fixture
def table() -> ImageTable:
    """Forty small colour images of three classes that differ in brightness."""
    made = torch.Generator().manual_seed(0)
    labels = torch.arange(40) % 3
    noise = torch.randint(0, 80, (40, 8, 8, 3), generator=made)
    return ImageTable((noise + 60 * labels[:, None, None, None]).to(torch.uint8), labels)


@pytest.fixture
def train(table: ImageTable) -> Batches:
    return Batches(table, Augment((0.5,) * 3, (0.25,) * 3, crop=1, flip=True), batch_size=8)


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


@pytest.fixture
def command(monkeypatch, capsys, tmp_path: Path) -> Callable[..., Said]:
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Said:
        capsys.readouterr()  # what was said before is none of its words
        monkeypatch.setattr(sys, "argv", ["stillhouse", *map(str, arguments)])
        try:
            main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capsys.readouterr()
        return Said(code, out, err)

    return run
