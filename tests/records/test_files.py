"""Files are whole or not there, also when the writer dies."""

import json
import os
import stat
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from tiny import tiny_net
from torch import nn

from stillhouse.errors import WeightsError
from stillhouse.models import load_weights
from stillhouse.records.files import (
    Lines,
    remove_unfinished,
    replacing,
    write_json,
    write_text,
)
from stillhouse.records.tensors import load_tensors, save_tensors


def test_a_failure_in_the_block_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.txt"
    write_text(path, "old")

    def fail() -> None:
        with replacing(path) as fresh:
            fresh.write_text("half of the n")
            assert path.read_text() == "old"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_text() == "old"
    assert [p.name for p in path.parent.iterdir()] == ["a.txt"], "nothing is left beside it"


def test_a_new_file_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    with replacing(path) as fresh:
        fresh.write_bytes(b"12")
        assert not path.exists()
        assert fresh.parent == path.parent, "a rename must not cross file systems"
    assert path.read_bytes() == b"12"
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "b.bin"):
        pass  # nothing was written
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]


def test_json_holds_no_nan(tmp_path: Path) -> None:
    value = {"a": [float("nan"), -float("inf"), 1.5], 2: {"é": (True, None, 3)}}
    write_json(tmp_path / "a.json", value)
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    read = json.loads(text, parse_constant=lambda name: pytest.fail(name))
    assert read == {"a": [None, None, 1.5], "2": {"é": [True, None, 3]}}
    assert "é" in text


def test_saved_tensors_load_strictly_into_the_bare_module(tmp_path: Path) -> None:
    net, bare = tiny_net(4, 1).to(memory_format=torch.channels_last), tiny_net(4, 2)
    about = {"model": "tiny", "seed": "0", "epoch": "3"}
    for name in ("a", "again"):
        save_tensors(tmp_path / f"{name}.safetensors", net.state_dict(), about)
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1
    bare.load_state_dict(load_file(tmp_path / "a.safetensors"), strict=True)
    for name, value in net.state_dict().items():
        assert torch.equal(value, bare.state_dict()[name]), name
    with safe_open(tmp_path / "a.safetensors", "pt") as file:
        words = json.loads(file.metadata()["stillhouse"])
    assert {**about, "checksum": words["checksum"]} == words


def test_tensors_that_share_memory_are_saved(tmp_path: Path) -> None:
    whole = torch.arange(6.0).reshape(2, 3)
    save_tensors(tmp_path / "a.safetensors", {"a": whole, "b": whole, "c": whole.T}, {})
    read = load_file(tmp_path / "a.safetensors")
    assert torch.equal(read["a"], read["b"])
    assert torch.equal(read["c"], whole.T)


def test_who_may_read_is_left_to_the_umask(tmp_path: Path) -> None:
    for umask, mode in ((0o002, 0o664), (0o022, 0o644), (0o077, 0o600)):
        before = os.umask(umask)
        try:
            save_tensors(tmp_path / "a.safetensors", {"a": torch.zeros(2)}, {"umask": f"{umask:o}"})
        finally:
            os.umask(before)
        assert stat.S_IMODE((tmp_path / "a.safetensors").stat().st_mode) == mode


def test_a_flipped_bit_of_tensors_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    state = {"w": torch.arange(4.0)}
    save_tensors(path, state, {"model": "tiny"})
    whole, right = path.read_bytes(), load_tensors(path, WeightsError, "make it again")
    assert right[1] == {"model": "tiny"}
    for at in range(8 * len(whole)):
        held = bytearray(whole)
        held[at // 8] ^= 1 << at % 8
        path.write_bytes(held)
        try:
            found = load_tensors(path, WeightsError, "make it again")
        except WeightsError:
            continue
        assert torch.equal(found[0]["w"], state["w"])
        assert (list(found[0]), found[1]) == (["w"], {"model": "tiny"})
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(WeightsError, match=r"a\.safetensors.*does not fit its checksum"):
        load_weights(nn.Linear(4, 1), path)


def test_parts_of_killed_writers_go_and_those_of_live_ones_stay(tmp_path: Path) -> None:
    live = f".a.{os.getppid()}-00000000.part"
    names = [".a.99999999-00000000.part", f".a.{os.getpid()}-00000000.part", ".a.7.part"]
    for name in (live, *names):
        (tmp_path / name).write_bytes(b"half")
    with replacing(tmp_path / "b") as mine:
        mine.write_bytes(b"whole")
        remove_unfinished(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [live, "b"]


@pytest.fixture
def lines(tmp_path: Path) -> Lines:
    (tmp_path / "runs").mkdir()
    return Lines(tmp_path / "runs" / "metrics.jsonl")


def test_lines_come_back_in_order(lines: Lines) -> None:
    assert lines.read() == []
    for epoch in range(3):
        lines.append({"epoch": epoch, "loss": float("nan") if epoch else 0.5})
    assert [line["loss"] for line in lines.read()] == [0.5, None, None]
    lines.rewrite([line for line in lines.read() if line["epoch"] != 1])
    assert [line["epoch"] for line in lines.read()] == [0, 2]


@pytest.mark.parametrize("cut", range(1, 24))
def test_a_line_torn_anywhere_is_dropped_and_the_next_one_is_not(lines: Lines, cut: int) -> None:
    lines.append({"epoch": 1})
    lines.append({"name": "née", "epoch": 2})
    data = lines.path.read_bytes()
    lines.path.write_bytes(data[:-cut])
    whole = [1, 2] if cut == 1 else [1]  # only the end of the line is missing
    assert [line["epoch"] for line in lines.read()] == whole
    lines.append({"epoch": 3})
    assert [line["epoch"] for line in lines.read()] == [*whole, 3]


def test_text_may_hold_any_character(lines: Lines) -> None:
    """U+2028 and U+0085 end a line for some readers, and are not escaped in JSON."""
    text = "a\u2028b\u0085c\nd\x0be\r"
    lines.append({"text": text})
    lines.append({"text": "next"})
    lines.rewrite(lines.read())
    assert [line["text"] for line in lines.read()] == [text, "next"]
