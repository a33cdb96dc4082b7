"""The application: its commands."""

import inspect
import sys
from collections.abc import Callable
from typing import Any

import typer

from stillhouse.cli import (
    bench,
    cache,
    check,
    derive,
    distill,
    evaluate,
    export,
    listing,
    predict,
    run,
    search,
    show,
    synthesize,
    taps,
)
from stillhouse.cli.boundary import guarded
from stillhouse.cli.examples import epilog
from stillhouse.cli.version import options

app = typer.Typer(
    name="stillhouse",
    help="Knowledge distillation for PyTorch: every student is compared with the same student "
    "trained alone.",
    no_args_is_help=True,
    rich_markup_mode=None,  # help is shown as it is written: no colon or bracket is markup
    pretty_exceptions_enable=False,
    epilog="'stillhouse COMMAND --help' has its options and examples. With --debug an error shows "
    "its traceback.",
)


def _add(name: str, command: Callable[..., Any]) -> None:
    # The first line is the command's line in the list, whole; typer would cut it.
    line = (inspect.getdoc(command) or "").splitlines()[0].removesuffix(".")
    app.command(name, short_help=line, epilog=epilog(name))(command)


_add("distill", distill.distill)
_add("compare", distill.compare)
_add("run", run.run)
_add("resume", run.resume)
_add("check", check.check)
_add("cache", cache.cache)
_add("ls", listing.listing)
_add("show", show.show)
_add("report", show.report)
_add("predict", predict.predict)
_add("evaluate", evaluate.evaluate)
_add("export", export.export)
_add("bench", bench.bench)
_add("taps", taps.taps)
_add("search", search.search)
_add("derive", derive.derive)
_add("synthesize", synthesize.synthesize)
app.callback()(options)


def main() -> None:
    """Entry point: whatever ends a command is told in a sentence (`cli.boundary`)."""
    arguments = sys.argv[1:]
    debug = "--debug" in arguments
    sys.argv[1:] = arguments = [argument for argument in arguments if argument != "--debug"]
    raise SystemExit(guarded(app, arguments, debug=debug))
