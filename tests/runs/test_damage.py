"""A finished run is left as it is, and a damaged or edited file of it is named and not believed."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from stillhouse.errors import RunError
from stillhouse.recipes import make_recipe, make_study
from stillhouse.report import read_run
from stillhouse.runs.run import Outcome, prepare, run
from stillhouse.studies.study import prepare_study, run_study

RECIPE = {
    "data": {"source": "digits", "limit": 128, "augment": "none"},
    "teacher": "mlp-16",
    "student": "mlp-8",
    "epochs": 1,
    "seeds": 1,
    "batch": 32,
    "device": "cpu",
    "precision": "fp32",
    "compile": False,
}
FILES = ("scores.json", "products.json", "resolved.yaml", "environment.json", "metrics.jsonl",
         "student.safetensors", "trainings/seed0/stage.json", "trainings/seed0/student.safetensors",
         "trainings/seed0/student-best.safetensors")  # fmt: skip


def ran(out: Path) -> Outcome:
    return run(prepare(make_recipe(RECIPE), out))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    ran(folder / "run")
    return folder


@pytest.fixture
def out(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "copy")
    return tmp_path / "copy" / "run"


def looks(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_finished_run_is_left_as_it_is(out: Path) -> None:
    before, first = looks(out.parent), json.loads((out / "scores.json").read_text())
    again = ran(out)
    assert looks(out.parent) == before
    assert again.scores["created"] == first["created"]
    assert [name for name, _ in again.student.named_parameters()]
    shutil.rmtree(out.parent / "shared")  # it needs neither teacher nor control any more
    ran(out)
    assert not (out.parent / "shared").exists()


def test_what_is_finished_is_read_from_where_nothing_can_be_written(
    out: Path, read_only: Callable[[Path], None]
) -> None:
    asked = make_study({**RECIPE, "arms": {"kd": {"method": "kd"}}})
    table = run_study(prepare_study(asked, out.parent / "study")).scores
    read_only(out.parent)
    assert ran(out).scores["finished"]
    assert run_study(prepare_study(asked, out.parent / "study")).scores == table
    with pytest.raises(RunError, match="its file system is read-only; choose another directory"):
        ran(out.parent / "other")
    more = make_study({**RECIPE, "arms": {"kd": {"method": "kd"}, "dkd": {"method": "dkd"}}})
    with pytest.raises(RunError, match="its file system is read-only; choose another directory"):
        prepare_study(more, out.parent / "study")


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_is_refused_and_the_file_named(name: str, out: Path) -> None:
    path = out / name
    whole = path.read_bytes()
    for at in (len(whole) // 3, 2 * len(whole) // 3):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        before = looks(out.parent)
        with pytest.raises(RunError, match=r"damaged.*delete") as refused:
            ran(out)
        assert path.name in str(refused.value)
        assert looks(out.parent) == before, "nothing was overwritten"


UNREADABLE = {
    "empty": b"",
    "cut": b'{"schema": 1, "tas',
    "binary": bytes(range(256)),
    "null": b"null",
    "a list": b"[1, 2]",
    "schema 99": b'{"schema": 99}',
    "schema as text": b'{"schema": "1"}',
    "deep": b"[" * 100_000,
}


@pytest.mark.parametrize("content", UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_read_is_one_sentence(content: bytes, out: Path) -> None:
    for name in (*FILES[:4], "trainings/seed0/stage.json"):
        path = out / name
        whole = path.read_bytes()
        path.write_bytes(content)
        with pytest.raises(RunError) as refused:
            ran(out)
        assert path.name in str(refused.value)
        assert "\n" not in str(refused.value)
        path.write_bytes(whole)


def test_what_was_deleted_is_made_again(out: Path) -> None:
    before = json.loads((out / "scores.json").read_text())
    for name in ("scores.json", "student.safetensors", "report.html"):
        (out / name).unlink()
        again = ran(out)
        assert (out / name).is_file()
        assert again.scores["verdict"] == before["verdict"]


def test_a_report_compares_products_and_epochs(out: Path) -> None:
    product = out / "student.safetensors"
    product.write_bytes(product.read_bytes()[:-1] + b"x")
    with pytest.raises(RunError, match=r"student\.safetensors is damaged"):
        read_run(out)
    product.unlink()
    assert read_run(out).missing == ("student.safetensors",)
    metrics = out / "metrics.jsonl"
    metrics.write_text(metrics.read_text().replace('"epoch": 1', '"epoch": 2'))
    with pytest.raises(RunError, match=r"metrics\.jsonl is damaged"):
        read_run(out)


def test_a_damaged_arm_is_named_with_what_to_do(tmp_path: Path) -> None:
    asked = make_study({**RECIPE, "arms": {"kd": {"method": "kd"}}})
    run_study(prepare_study(asked, tmp_path / "s"))
    before = looks(tmp_path)
    table = run_study(prepare_study(asked, tmp_path / "s")).scores
    assert looks(tmp_path) == before
    assert table["finished"]
    for name in ("scores.json", "resolved.yaml"):
        path = tmp_path / "s/arms/kd" / name
        whole = path.read_bytes()
        path.write_bytes(whole[:-80])
        with pytest.raises(RunError, match=r"arm 'kd': .*damaged.*to train this arm anew, delete"):
            run_study(prepare_study(asked, tmp_path / "s"))
        path.write_bytes(whole)


@pytest.mark.parametrize("junk", [".DS_Store", "Thumbs.db", "desktop.ini", ".resolved.yaml.1.part"])
def test_what_a_kill_or_a_system_left_is_no_obstacle(
    junk: str, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = out.parent / "fresh"
    fresh.mkdir()
    (fresh / junk).write_bytes(b"x")
    (fresh / ".scores.json.99999999-00000000.part").write_bytes(b"half")
    assert ran(fresh).scores["finished"]
    assert not list(fresh.glob(".scores*.part"))


def test_other_data_under_the_same_name_are_told(out: Path) -> None:
    scores = json.loads((out / "scores.json").read_text())
    job = prepare(make_recipe(RECIPE), out)
    other = job.data.splits.train.take
    assert scores["decisive"].keys() == {"recipe", "data", "student", "peers", "teacher", "method"}
    from dataclasses import replace

    import torch

    splits = replace(job.data.splits, train=other(torch.arange(64)), fingerprint="other")
    with pytest.raises(RunError, match="finished, and was made with another data"):
        run(replace(job, data=replace(job.data, splits=splits)))


def test_commands_that_only_look(out: Path, command_in: Callable[..., tuple[int, str]]) -> None:
    before = looks(out.parent)
    code, said = command_in("show", out)
    assert (code, "kd" in said, "student" in said) == (0, True, True)
    assert command_in("resume", out)[0] == 0
    assert looks(out.parent) == before
    for words, told in (
        (("resume", out / "scores.json"), "is a file, and only a directory is resumed"),
        (("show", out.parent), "is no directory of a run"),
        (("show", out / "student.safetensors"), "it is no UTF-8 text"),
    ):
        code, said = command_in(*words)
        assert code == 2
        assert told in said.replace("\n", " ")
    (out / "scores.json").unlink()
    code, said = command_in("show", out)
    assert code == 2
    assert "is not finished" in said


@pytest.fixture
def command_in(monkeypatch, capsys) -> Callable[..., tuple[int, str]]:
    import sys

    from stillhouse.cli import main

    def call(*words: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["stillhouse", *map(str, words)])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        held = capsys.readouterr()
        return code, held.out + held.err

    return call


def test_another_torch_makes_its_own_numbers(out: Path, monkeypatch) -> None:
    """A begun run is not gone on with, and nothing is taken from `shared`."""
    shared = out.parent / "shared"
    before = {path.name for path in shared.glob("control-*")}
    (out / "scores.json").unlink()
    monkeypatch.setattr("torch.__version__", "9.8.7+cpu")
    with pytest.raises(RunError, match=r"was begun with torch 2\.\d+\.\d+, and this is torch 9\.8"):
        ran(out)
    run(prepare(make_recipe(RECIPE), out.parent / "other", shared=shared))
    assert len({path.name for path in shared.glob("control-*")} - before) == 1
