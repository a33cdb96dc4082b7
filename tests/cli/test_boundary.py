"""However a command ends early: one sentence, and the exit code that shells know."""

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from ranks import start
from typer import Exit

from stillhouse.cli.boundary import Ended, guarded
from stillhouse.errors import NonFiniteLoss, RunError

FULL = OSError(errno.ENOSPC, "No space left on device", "runs/a/x.json")
ON = "the same command, or 'stillhouse resume DIR', goes on from where it was"


def _raising(error: BaseException) -> Callable[[], None]:
    def command() -> None:
        raise error

    return command


def _as_exit(behind: BaseException) -> Callable[[], None]:
    """What the package of the command line makes of an interruption and of a closed pipe."""

    def command() -> None:
        try:
            raise behind
        except BaseException as error:
            try:
                raise Exit(130) from error
            except Exit as end:
                sys.exit(end.exit_code)

    return command


ENDS = {
    "full": (_raising(FULL), 2, f"runs/a/x.json cannot be written, the disk is full (No space left "
             f"on device); make room; then {ON}"),
    "a user's mistake": (_raising(RunError("no such run")), 2, "no such run"),
    "a loss": (_raising(NonFiniteLoss("kd", 7)), 1, "term 'kd' is not finite at step 7"),
    "Ctrl-C": (_as_exit(KeyboardInterrupt()), 130, f"stopped by Ctrl-C; {ON}"),
    "a signal": (_as_exit(Ended(signal.SIGTERM)), 143, f"stopped by SIGTERM; {ON}"),
    "a pipe": (_as_exit(BrokenPipeError(32, "Broken pipe")), 141, "nobody reads its output"),
    "another pipe": (_raising(BrokenPipeError(32, "Broken pipe")), 2, "Broken pipe"),
}  # fmt: skip


@pytest.mark.parametrize("case", ENDS)
def test_an_end_is_a_sentence_and_a_code(case: str, capsys) -> None:
    command, code, told = ENDS[case]
    assert guarded(command, ["run", "recipe.yaml"]) == code
    err = capsys.readouterr().err
    assert err.startswith(f"stillhouse: {told}" if case != "a pipe" else "stillhouse: stopped")
    assert told in err
    assert err.count("stillhouse:") == 1
    assert "Traceback" not in err
    assert "Traceback" in (guarded(command, ["run"], debug=True), capsys.readouterr().err)[1]


def test_a_sentence_is_folded_between_words_at_the_edge_of_a_terminal(capsys, monkeypatch) -> None:
    long = "a/long/path/that/no/line/may/break/since/it/is/to-be-copied.safetensors"
    told = RunError(f"{long} is damaged; remove it\n  - and the second line stands further in")
    guarded(_raising(told), ["show"])
    assert str(told) in capsys.readouterr().err, "a log has no edge"
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    guarded(_raising(told), ["show"])
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "stillhouse:", long, "is damaged; remove it",
        "  - and the second line stands further", "  in",
    ]  # fmt: skip


def test_what_cannot_go_on_does_not_say_so(capsys) -> None:
    for command in (_as_exit(KeyboardInterrupt()), _raising(FULL)):
        guarded(command, ["show"])
        assert "goes on" not in capsys.readouterr().err
    assert guarded(_as_exit(BrokenPipeError(32, "Broken pipe")), ["show"]) == 141
    assert capsys.readouterr().err == "", "show | head is as it was meant"


def test_a_fault_of_ours_shows_its_lines_and_where_to_report_it(capsys) -> None:
    assert guarded(_raising(KeyError("taps")), ["run"]) == 1
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert "KeyError: a fault of Stillhouse" in err
    assert "report it" in err
    assert "What was finished is kept" in err


def test_signals_are_as_they_were_afterwards() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    guarded(lambda: None, ["run"])
    assert before == [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]


@pytest.mark.slow
def test_a_pipe_that_nobody_reads_and_a_full_output() -> None:
    """With real pipes: Python itself would complain once more when it ends."""
    shown = [sys.executable, "-m", "stillhouse", "ls", "data"]
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer) as unread, open("/dev/full", "w") as full:
        running = [
            subprocess.Popen(shown, stdout=out, stderr=subprocess.PIPE, text=True)
            for out in (unread, full)
        ]
    said = [each.communicate()[1] for each in running]
    assert [each.returncode for each in running] == [141, 2]
    assert said[0] == ""
    assert said[1].startswith("stillhouse: ")
    assert "No space left" in said[1]
    assert said[1].count("\n") == 1


RUN = """
import os, signal, sys
# What a shell starts in the background ignores Ctrl-C, and its children do.
signal.signal(signal.SIGINT, signal.default_int_handler)
os.chdir(sys.argv[1])
sys.stdout, sys.stderr = open("out", "a"), open("err", "a")
import torch
torch.set_num_threads(1)
from stillhouse.cli import main
sys.argv[1:] = ["distill", "--data", "digits", "--student", "convnet-4-4", "--method", "plain",
    "--epochs", "2000", "--batch", "32", "--seeds", "1", "--no-control", "--limit", "320",
    "--set", "checkpoint_seconds=0.2", "-o", "runs/one"]
main()
"""


def _has_checkpoint(folder: Path, run: BaseProcess) -> bool:
    began = time.time()
    while run.is_alive() and time.time() < began + 60:
        if any(folder.rglob("checkpoint.pt")):
            return True
        time.sleep(0.05)
    return False


def test_ctrl_c_and_a_signal_end_a_training_in_order(tmp_path: Path) -> None:
    ends = {signal.SIGINT: ("Ctrl-C", 130), signal.SIGTERM: ("SIGTERM", 143)}
    folders = {number: tmp_path / number.name for number in ends}
    for folder in folders.values():
        folder.mkdir()
    running = {number: start(RUN, folder) for number, folder in folders.items()}
    for number, (by, code) in ends.items():
        run, folder = running[number], folders[number]
        assert _has_checkpoint(folder, run)
        assert run.pid is not None
        os.kill(run.pid, number)
        run.join(60)
        assert run.exitcode == code
        assert (folder / "err").read_text() == f"stillhouse: stopped by {by}; {ON}\n"
        assert not list(folder.rglob("*.part"))
        assert list(folder.rglob("checkpoint.pt")), "from which it goes on"
