"""Files are whole or not there, also when the writer dies."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from tiny import tiny_net

from stillhouse.records.files import Lines, replacing, write_json, write_text
from stillhouse.records.tensors import save_tensors


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
