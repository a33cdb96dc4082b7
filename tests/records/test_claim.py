"""A directory belongs to one thing: taken, resumed, refused, and never overwritten."""

import os
import shutil
import threading
from pathlib import Path

import pytest

from stillhouse.errors import CacheError, RunError
from stillhouse.records.claim import Claim

ELSEWHERE = "choose another (-o DIR)"
YAML = Claim("run", "resolved.yaml", ELSEWHERE)
JSON = Claim("teacher cache", "identity.json", ELSEWHERE, error=CacheError)
FACTS = {"lr": 0.1, "shape": (1, 8, 8), "most": float("inf"), "net": {"name": "né", "width": None}}


@pytest.mark.parametrize("claim", [YAML, JSON])
def test_the_same_facts_go_on(claim: Claim, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "a"
    assert not claim.begun(out, FACTS)
    assert not out.exists(), "a look writes nothing"
    with claim.hold(out, FACTS) as begun:
        assert not begun
    written = (out / claim.file).read_bytes()
    with claim.hold(out, FACTS) as begun:
        assert begun
    assert (out / claim.file).read_bytes() == written
    assert claim.read(out)["net"] == FACTS["net"]


@pytest.mark.parametrize("claim", [YAML, JSON])
def test_other_facts_are_refused_with_the_first_difference(claim: Claim, tmp_path: Path) -> None:
    with claim.hold(tmp_path, FACTS):
        pass
    other = {**FACTS, "net": {"name": "né", "width": 8}}
    said = r"differs in net\.width \(there: None, asked: 8\)"
    with pytest.raises(claim.error, match=said):
        claim.begun(tmp_path, other)
    with pytest.raises(claim.error, match=said), claim.hold(tmp_path, other):
        pass
    with claim.hold(tmp_path) as begun:  # whoever asks for no facts takes those that are there
        assert begun


def test_what_does_not_decide_may_change(tmp_path: Path) -> None:
    claim = Claim("run", "a.yaml", ELSEWHERE, decisive=lambda facts: {"lr": facts["lr"]})
    with claim.hold(tmp_path, {"lr": 1, "device": "cpu"}):
        pass
    with claim.hold(tmp_path, {"lr": 1, "device": "cuda"}):
        assert claim.read(tmp_path)["device"] == "cpu", "the first word stays"


def test_somebody_elses_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("")
    with (
        pytest.raises(RunError, match=r"no directory of a run: it holds other files \(thesis"),
        YAML.hold(tmp_path, FACTS),
    ):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("below", ["", "a/b"])
def test_a_file_is_in_the_way(below: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")
    with pytest.raises(RunError, match="x is a file; choose another"):
        YAML.begun(tmp_path / "x" / below, FACTS)


def test_only_one_has_it_at_a_time(tmp_path: Path) -> None:
    refused = pytest.raises(RunError, match="in use by a run that is going on")
    with YAML.hold(tmp_path, FACTS), refused, YAML.hold(tmp_path, FACTS):
        pass
    with YAML.hold(tmp_path, FACTS):
        pass  # it was given back


def test_one_may_wait(tmp_path: Path) -> None:
    heard, free = threading.Event(), threading.Event()

    def other() -> None:
        with YAML.hold(tmp_path, FACTS):
            heard.wait(30)
            free.set()

    first = threading.Thread(target=other)
    first.start()
    while not (tmp_path / YAML.file).exists():
        pass
    with YAML.hold(tmp_path, FACTS, waiting=heard.set) as begun:
        assert begun
        assert free.is_set()
    first.join(30)


@pytest.mark.parametrize(
    ("claim", "text", "said"),
    [
        (YAML, "- 1\n", "it has no checksum"),
        (YAML, "a: [\n", "it has no checksum"),
        (YAML, "", "it has no checksum"),
        (YAML, "lr: 0.1\n# checksum: " + 64 * "0" + "\n", "does not fit its checksum"),
        (JSON, "{", "is damaged"),
        (JSON, "[]", "no object"),
        (JSON, "null", "no object"),
        (JSON, '{"lr": 0.1}', "it has no checksum"),
    ],
)
def test_damaged_facts_are_said(claim: Claim, text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / claim.file).write_text(text)
    with pytest.raises(claim.error, match=f"{claim.file}.*{said}.*delete"):
        claim.begun(tmp_path, FACTS)


def test_what_was_never_claimed_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no directory of a run \(it has no resolved\.yaml\)"):
        YAML.read(tmp_path)
    with pytest.raises(RunError, match="does not exist"):
        YAML.read(tmp_path / "none")


def test_what_a_killed_writer_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".resolved.yaml.77.part").write_text("half")
    with YAML.hold(tmp_path, FACTS):
        assert not list(tmp_path.glob("*.part"))


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_place_that_cannot_be_written_to(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(RunError, match="may not be used by you"), YAML.hold(tmp_path / "a", FACTS):
        pass


def test_where_a_file_should_be_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / ".lock").mkdir()
    with (
        pytest.raises(CacheError, match=r"\.lock is a directory, and a file is wanted; "),
        JSON.hold(tmp_path, FACTS),
    ):
        pass


def test_a_directory_that_was_removed_meanwhile_is_no_success(tmp_path: Path) -> None:
    made = tmp_path / "a"
    with (
        pytest.raises(RunError, match="a was removed while the run went on"),
        YAML.hold(made, FACTS),
    ):
        shutil.rmtree(made)
