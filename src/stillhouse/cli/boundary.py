"""The boundary of the command: how whatever ends it early is told, once, and its exit code.

| what | told | code |
|---|---|---|
| a mistake of the user, a fault of the system | one sentence | 2 (1: a loss became nan or inf) |
| nobody reads the output any more | nothing; of a training, that it goes on | 141 |
| Ctrl-C, a signal to end | one sentence | 130, 143 (128 + signal) |
| anything else: a fault of ours | its traceback, and where to report it | 1 |

Of several processes the first that ends tells it, and only the main one prints results.
"""

import contextlib
import io
import os
import shutil
import signal
import sys
import textwrap
import traceback
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from stillhouse.errors import RecipeError, StillhouseError
from stillhouse.faults import fault_of, own_words

UNREAD = 141
"""As the shell says of a program that ended since nobody read its output (128 + SIGPIPE)."""
OURS = 1
GOES_ON = ("run", "resume", "distill", "compare", "search", "synthesize", "cache")
"""Commands that go on where they were stopped."""
IN_PARALLEL = ("run", "resume", "distill", "compare", "synthesize", "check", "cache")
"""Commands that know what to do with several processes."""
ENDING = ("SIGTERM", "SIGHUP")
"""Signals by which a system asks a program to end."""


class Ended(KeyboardInterrupt):
    """A signal asked the command to end; what is to be undone is undone, as after Ctrl-C."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.signal = signal.Signals(number)


def guarded(command: Callable[[], Any], arguments: list[str], *, debug: bool = False) -> int:
    """Run a command to its end, whatever that is; gives the exit code.

    Args:
        command: may raise anything.
        arguments: of the command line; the first is the command's name.
        debug: show the traceback of what is told in a sentence, too.
    """
    name = arguments[0] if arguments else ""
    if sys.stdout is None:  # it was closed (>&-)
        sys.stdout = io.StringIO()
    if isinstance(sys.stdout, io.TextIOWrapper):  # a name that the terminal has no letters for
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        with _signals(), _one_voice(name):
            command()
            sys.stdout.flush()
        return 0
    except BaseException as error:
        cause = _cause(error)
        if isinstance(cause, SystemExit):
            _say_where(cause, arguments)
            return cause.code if isinstance(cause.code, int) else int(cause.code is not None)
        if debug:
            traceback.print_exception(error)
        unread = isinstance(cause, BrokenPipeError) and cause is not error
        if isinstance(cause, OSError) and _output_fails():
            unread, cause.filename = isinstance(cause, BrokenPipeError), "the output"
        code, told = (UNREAD, _unread(name)) if unread else _told(cause, name)
        if told and _first():
            if code == OURS and not isinstance(cause, StillhouseError):
                traceback.print_exception(error)
            with contextlib.suppress(OSError):  # nobody reads that either
                print(_folded(f"stillhouse: {told}"), file=sys.stderr, flush=True)
        return code
    finally:
        _leave_output()


def _told(error: BaseException, name: str) -> tuple[int, str]:
    """The exit code, and one sentence."""
    on = name in GOES_ON
    if isinstance(error, KeyboardInterrupt):
        number = error.signal if isinstance(error, Ended) else signal.SIGINT
        by = number.name if isinstance(error, Ended) else "Ctrl-C"
        return 128 + number, f"stopped by {by}" + (f"; {_again(name)}" if on else "")
    fault = fault_of(error)
    if fault is not None:
        return fault.exit_code, str(fault) + (f"; then {_again(name)}" if on else "")
    if isinstance(error, StillhouseError):
        return error.exit_code, own_words(error)
    kept = f" What was finished is kept: {_again(name)}." if on else ""
    return OURS, (
        f"{type(error).__name__}: a fault of Stillhouse, or of code of yours that it called. "
        "Please report it where you have Stillhouse from, with the command and the lines above."
        f"{kept}"
    )


def _say_where(end: SystemExit, arguments: list[str]) -> None:
    """Of an option that the command does not have, and a recipe has as a key: where it belongs."""
    unknown = end.__context__
    option, context = getattr(unknown, "option_name", None), getattr(unknown, "ctx", None)
    if not isinstance(option, str) or context is None:
        return
    from stillhouse.cli.misplaced import misplaced

    known = [name for parameter in context.command.params for name in parameter.opts]
    said = misplaced(option, arguments, known)
    if said is not None:
        print(_folded(f"stillhouse: {option}: {said}"), file=sys.stderr, flush=True)


def _folded(told: str) -> str:
    """The same in lines that end between words at the edge of a terminal; a log has no edge."""
    if sys.stderr is None or not sys.stderr.isatty():
        return told
    width = shutil.get_terminal_size().columns
    return "\n".join(
        textwrap.fill(
            line,
            max(width, 20),
            subsequent_indent=" " * (len(line) - len(line.lstrip())),
            break_long_words=False,
            break_on_hyphens=False,
        )
        for line in told.splitlines()
    )


def _unread(name: str) -> str:
    """What is said when nobody reads the output: nothing where that is how it was meant."""
    again = f"stopped, nobody reads its output any more; {_again(name)}"
    return again if name in GOES_ON else ""


def _output_fails() -> bool:
    """Whether it is the output that cannot be written, and no other file or pipe."""
    try:
        sys.stdout.flush()
    except OSError:
        return True
    return False


def _again(name: str) -> str:
    resume = ", or 'stillhouse resume DIR'," if name in ("run", "resume", "distill") else ""
    return f"the same command{resume} goes on from where it was"


def _cause(error: BaseException) -> BaseException:
    """What ended the command: the command line's own packages make an exit code of some of it."""
    behind: BaseException | None = error if isinstance(error, SystemExit) else None
    while behind is not None:
        if isinstance(behind, KeyboardInterrupt | BrokenPipeError):
            return behind
        behind = behind.__cause__ or behind.__context__
    return error


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    """Let a signal to end be an exception, so that bars, locks and files are left in order."""

    def end(number: int, _: FrameType | None) -> None:
        raise Ended(number)

    before: dict[int, Any] = {}
    try:
        for each in ENDING:
            number = getattr(signal, each, None)  # Windows has no SIGHUP
            # One that is ignored (nohup) stays so.
            if number is not None and signal.getsignal(number) == signal.SIG_DFL:
                before[number] = signal.signal(number, end)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _one_voice(name: str) -> Iterator[None]:
    """Of several processes let only the main one print.

    Raises:
        RecipeError: the command is one for one process.
    """
    if "WORLD_SIZE" not in os.environ:
        yield
        return
    from stillhouse.engine.processes import rank_asked, world_asked

    world = world_asked()
    if world > 1 and name not in IN_PARALLEL:
        said = f"'{name}' runs in one process, and WORLD_SIZE is {world}; start it without launcher"
        raise RecipeError("processes", [said])
    if rank_asked() == 0:
        yield
        return
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        yield


def _first() -> bool:
    """Whether to speak; of several processes the first does."""
    if "WORLD_SIZE" not in os.environ:
        return True  # without loading what knows of processes
    from stillhouse.engine.processes import first_to_tell

    return first_to_tell()


def _leave_output() -> None:
    """Write what is left; where that cannot be, forget it, so that Python does not complain."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        with contextlib.suppress(OSError, ValueError):  # it has no file behind it
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
