"""Give the command bad inputs of all kinds: exit code 2, a sentence, and nothing written.

    python benchmarks/faults/bad_inputs.py        # writes benchmarks/results/bad_inputs.json
    python benchmarks/faults/bad_inputs.py optimizer taps     # of some kinds, writes no result

Most run in this process, every 50th as a process of its own. Each has a few seconds; what needs
more began to compute. A numbers sweep over all fields is `tests/recipes/test_every_number.py`.
"""

import contextlib
import io
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from bad_input_cases import BASE, Case, cases

from result_files import keep
from stillhouse.cli import main as command
from stillhouse.models import build_model

SECONDS, EVERY, LINES, WORDS = 20, 50, 12, 1600
"""What a case may take, which run as processes, and what a message may be long."""


class TooLong(BaseException):
    """A case went on computing."""


def main() -> None:
    torch.set_num_threads(1)
    asked, place = list(sys.argv), Path.cwd()
    kinds = asked[1:]
    counted, by_kind, defects = Counter[str](), Counter[str](), list[str]()
    slowest = (0.0, "")
    signal.signal(signal.SIGALRM, _too_long)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.chdir(folder)
        names = made(folder)
        every = [each for each in cases() if not kinds or each.kind in kinds]
        for number, case in enumerate(every):
            began = time.monotonic()
            found = outcome(case, names, folder, alone=number % EVERY == 0)
            slowest = max(slowest, (time.monotonic() - began, case.name))
            counted[found.split(":")[0]] += 1
            by_kind[case.kind] += 1
            if found != "refused":
                defects.append(f"{case.kind} {case.name}: {found}")
                print(defects[-1], flush=True)
        os.chdir(place)
    sys.argv[:] = asked  # each case had its own
    print(dict(counted), slowest)
    if not kinds:
        keep(
            "bad_inputs",
            "one bad input at a time: the exit code must be 2, with a sentence and nothing written",
            inputs=sum(by_kind.values()),
            inputs_by_kind=dict(by_kind),
            as_processes_of_their_own=len(every[::EVERY]),
            exit_code_2_and_a_sentence=counted["refused"],
            slowest_seconds=round(slowest[0], 1),
            defects=defects,
        )


def outcome(case: Case, names: dict[str, Path], folder: Path, *, alone: bool) -> str:
    """What the command made of a case, and of the folder."""
    if case.text is not None:
        content = case.text if isinstance(case.text, bytes) else case.text.encode()
        for word, path in names.items():
            content = content.replace(f'"{word}"'.encode(), f'"{path}"'.encode())
        (folder / "RECIPE").write_bytes(content)
    arguments = [str(names.get(each, each)) for each in case.command]
    arguments = [each.replace("TEXT/", f"{names['TEXT']}/") for each in arguments]
    before = seen(folder)
    code, said = (in_a_process if alone else in_here)(arguments)
    after = seen(folder)
    if "Traceback" in said:
        return f"traceback: {said.strip().splitlines()[-1]}"
    if code != 2:
        return f"exit code {code}: {said.strip()[-300:]}"
    if after != before:
        return f"written: {sorted(after ^ before)}"
    lines = said.strip().splitlines()
    if not said.startswith(("stillhouse: ", "Usage: ", "╭─ Error")):
        return f"no sentence: {said[-300:]}"
    if len(lines) > LINES or len(said) > WORDS:
        return f"long: {len(lines)} lines, {len(said)} characters: {said[:200]}"
    return "refused"


def in_here(arguments: list[str]) -> tuple[int | str, str]:
    err = io.StringIO()
    sys.argv = ["stillhouse", *arguments]
    signal.alarm(SECONDS)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(err):
            command()
    except SystemExit as end:
        return int(end.code or 0), err.getvalue()
    except TooLong:
        return "none", f"it went on for {SECONDS} seconds"
    finally:
        signal.alarm(0)
    return 0, err.getvalue()


def in_a_process(arguments: list[str]) -> tuple[int | str, str]:
    whole = [sys.executable, "-m", "stillhouse", *arguments]
    try:
        done = subprocess.run(
            whole, capture_output=True, text=True, timeout=3 * SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return "none", f"it went on for {3 * SECONDS} seconds"
    return done.returncode, done.stderr


def _too_long(_: int, __: FrameType | None) -> None:
    raise TooLong


def seen(folder: Path) -> set[tuple[str, int, int]]:
    """Every file with its size and time."""
    found = set()
    for path in folder.rglob("*"):
        facts = path.lstat()
        found.add((str(path), facts.st_size, 0 if path.is_dir() else facts.st_mtime_ns))
    return found


def made(folder: Path) -> dict[str, Path]:
    """The files that the cases name."""
    names = {each: folder / "given" / each.lower() for each in
             ("TEXT", "FOLDER", "EMPTY", "TEACHER", "OTHER", "GOOD", "STUDY")}  # fmt: skip
    names["NPZ_OF_WORDS"] = folder / "given" / "words.npz"
    names["OUT"], names["RECIPE"] = folder / "out", folder / "RECIPE"
    for each in ("FOLDER", "EMPTY"):
        names[each].mkdir(parents=True)
    (names["FOLDER"] / "chapter.txt").write_text("words")
    names["TEXT"].write_text("some words: of a text\n")
    teacher = build_model("convnet-8-8", classes=10, channels=1, size=8)
    torch.save(teacher.state_dict(), names["TEACHER"])
    torch.save(torch.nn.Linear(3, 4).state_dict(), names["OTHER"])
    names["GOOD"].write_text(yaml.safe_dump(BASE))
    arms: dict[str, Any] = {**BASE, "methods": ["kd", "dkd"]}
    names["STUDY"].write_text(yaml.safe_dump(arms))
    np.savez(names["NPZ_OF_WORDS"], words=np.array(["a", "b"]))
    (folder / "RECIPE").write_text("")
    return names


if __name__ == "__main__":
    main()
