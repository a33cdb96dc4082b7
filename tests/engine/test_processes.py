"""What a launcher asks for is done or refused; what the main process does holds up no other."""

from pathlib import Path

import pytest
from ranks import launch

from stillhouse.engine.platform import open_platform
from stillhouse.engine.processes import world_asked
from stillhouse.errors import RecipeError

FOUND = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
WRONG = {
    "left over": ({"WORLD_SIZE": "2", "RANK": "0"}, "MASTER_ADDR and MASTER_PORT are not set"),
    "no rank": ({"WORLD_SIZE": "2", **FOUND}, "WORLD_SIZE is 2, and RANK is not set; start all"),
    "no number": ({"WORLD_SIZE": "two"}, "WORLD_SIZE is 'two', which is no whole number"),
    "none": ({"WORLD_SIZE": "0"}, "it must be at least 1"),
    "beyond": ({"WORLD_SIZE": "2", "RANK": "2", **FOUND}, "RANK is 2, and WORLD_SIZE is 2"),
    "no port": (
        {"WORLD_SIZE": "2", "RANK": "0", **FOUND, "MASTER_PORT": "xx"},
        "MASTER_PORT is 'xx', which is no whole number",
    ),
    "far port": (
        {"WORLD_SIZE": "2", "RANK": "0", **FOUND, "MASTER_PORT": "99999"},
        "MASTER_PORT is 99999, which is no port",
    ),
    "one of several": (
        {"ACCELERATE_USE_CPU": "True", **FOUND},
        "several processes and has started",
    ),
    "parts of networks": (
        {
            "ACCELERATE_USE_FSDP": "true",
            "FSDP_VERSION": "2",
            "WORLD_SIZE": "2",
            "RANK": "0",
            **FOUND,
        },
        "was asked for FSDP, which cuts a network apart",
    ),
    "MPI": ({"OMPI_COMM_WORLD_SIZE": "4"}, "OMPI_COMM_WORLD_SIZE is 4, and RANK"),
}


@pytest.mark.parametrize("case", WRONG)
def test_several_processes_that_cannot_find_each_other_are_refused(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said, expected = WRONG[case]
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RecipeError, match=expected):
        open_platform(device="cpu")


def test_one_process_needs_no_launcher() -> None:
    assert [world_asked(said) for said in ({}, {"WORLD_SIZE": ""}, {"WORLD_SIZE": "1"})] == [1] * 3
    assert world_asked({"WORLD_SIZE": "3", "RANK": "2", **FOUND}) == 3


SCRIPT = """
import os, sys, time
from contextlib import contextmanager
from pathlib import Path
import torch
from stillhouse.cli.boundary import guarded
from stillhouse.engine.platform import open_platform
from stillhouse.errors import DataError, RecipeError, RunError

torch.set_num_threads(1)
out = Path(sys.argv[1])
platform = open_platform(precision="fp32")  # no word of a device: here there is none but the CPU
assert (platform.world, str(platform.device)) == (2, "cpu"), platform
assert (platform.alone.world, platform.alone.rank, platform.alone.main) == (1, 0, True)
try:
    open_platform(device="meta:0")
except RecipeError as error:
    assert "each of 2 processes needs its own" in str(error), error
else:
    raise AssertionError("one device for two processes")

def work():
    time.sleep(0.3)
    (out / "made").write_text("whole")
    return 7

assert platform.by_main(work) == (7 if platform.main else None)
assert (out / "made").read_text() == "whole", "nobody goes on before it is there"

def failing():
    raise DataError("no rows")

try:
    platform.by_main(failing)
except (DataError, RunError) as error:
    assert type(error) is (DataError if platform.main else RunError) and str(error) == "no rows"
else:
    raise AssertionError("an error of the main process is raised in all")

events = []

@contextmanager
def lock():
    events.append("in")
    yield
    events.append("out")

with platform.main_holds(lock):
    assert events == (["in"] if platform.main else [])
    platform.wait()
assert events == (["in", "out"] if platform.main else [])

def command():
    if not platform.main:
        raise DataError("the file of process 1 is gone")
    platform.sum(torch.ones(1))  # which never comes

sys.stderr = open(out / f"err{platform.rank}", "w")
code = guarded(command, ["run"])
sys.stderr.flush()
os._exit(code)  # as a process that ends: its connections close
"""


def test_what_the_main_process_does_alone_and_how_one_ends_the_other(tmp_path: Path) -> None:
    launch(2, SCRIPT, tmp_path, codes=[2, 2])
    told = [(tmp_path / f"err{rank}").read_text() for rank in range(2)]
    assert told == ["", "stillhouse: the file of process 1 is gone\n"], "once, and by whom it was"
