"""Two users on one directory of teachers, controls and caches, under every usual umask."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import stillhouse
from stillhouse.errors import StillhouseError
from stillhouse.runs.run import Outcome

pytestmark = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can act as two users"
)
FLIP = {"augment": ["flip"]}
TAKEN = {"teacher": True, "control": True, "student": False}
ANNE, BERT, GROUP = 54401, 54402, 54400
IMAGES = [
    ((np.full((8, 8, 3), 60 * (row % 3), np.uint8) + row).astype(np.uint8), row % 3)
    for row in range(48)
]


@contextlib.contextmanager
def acting_as(user: int, umask: int) -> Iterator[None]:
    """This process as a user of the group, with none of root's rights."""
    groups, before = os.getgroups(), os.umask(umask)
    try:
        os.setgroups([GROUP])
        os.setegid(GROUP)
        os.seteuid(user)
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)
        os.umask(before)


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that anybody may write to, as /tmp is; pytest's own are root's alone."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o1777)
    yield folder
    shutil.rmtree(folder)


def distilled(place: Path, out: str, **more: object) -> Outcome:
    return stillhouse.distill(
        data={"source": IMAGES, **FLIP}, teacher={"model": "convnet-4-4", "epochs": 1},
        student="convnet-2-4", out=place / out, shared=place / "shared", batch=12, precision="fp32",
        **{"epochs": 1, "seeds": 1, "cache": "always", **more},
    )  # fmt: skip


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> list[float]:
    """The numbers of one user alone. All that is imported late is there from now on: Python itself
    may lie where only root looks."""
    place = tmp_path_factory.mktemp("alone")
    return scores_of(distilled(place, "run"))


def scores_of(outcome: Outcome) -> list[float]:
    return [run["test"]["last"] for model in outcome.scores["models"] for run in model["runs"]]


def reused(outcome: Outcome) -> dict[str, bool]:
    models = outcome.scores["models"]
    return {model["role"]: all(run["reused"] for run in model["runs"]) for model in models}


@pytest.mark.parametrize("umask", [0o022, 0o002], ids=oct)
def test_a_second_user_takes_what_is_there_and_adds_to_it(
    umask: int, place: Path, alone: list[float]
) -> None:
    (place / "shared").mkdir()
    (place / "shared").chmod(0o1777)
    with acting_as(ANNE, umask):
        first = distilled(place, "anne")
    with acting_as(BERT, umask):
        second = distilled(place, "bert")
    assert scores_of(second) == scores_of(first) == alone
    assert reused(second) == TAKEN
    with acting_as(BERT, umask):
        if umask == 0o022:  # a view more in the cache that is Anne's; but what is new is his own
            with pytest.raises(StillhouseError, match=r"may not be used by you.*cache: never"):
                distilled(place, "more", epochs=2)
            added = distilled(place, "more", epochs=2, cache="never")
        else:
            added = distilled(place, "more", epochs=2)
            assert added.scores["teacher_served"]["views"] == 2
    with acting_as(ANNE, umask):
        taken = distilled(place, "taken", epochs=2, cache="never")
    assert scores_of(taken) == scores_of(added)
    assert reused(taken) == TAKEN


def test_what_is_kept_from_a_second_user_is_said_in_a_sentence(
    place: Path, alone: list[float]
) -> None:
    with acting_as(ANNE, 0o077):
        distilled(place, "anne")
    with acting_as(BERT, 0o077), pytest.raises(StillhouseError) as whole:
        distilled(place, "bert")
    (place / "shared").chmod(0o1777)  # what lies in it is Anne's alone
    with acting_as(BERT, 0o077), pytest.raises(StillhouseError) as inside:
        distilled(place, "bert")
    for said, mode in ((whole, "drwx------"), (inside, "-rw-------")):
        told = str(said.value)
        assert f"{place / 'shared'}" in told
        assert "may not be used by you (Permission denied)" in told
        assert f"is of user {ANNE}, mode {mode}; its owner can share it" in told
    assert "--shared DIR" in str(whole.value)
