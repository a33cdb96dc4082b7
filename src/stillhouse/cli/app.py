"""The application: its commands, and how errors end it."""

import sys
import traceback

import typer

from stillhouse.cli import (
    check,
    derive,
    distill,
    run,
    search,
    show,
    synthesize,
    taps,
)
from stillhouse.errors import StillhouseError

app = typer.Typer(
    name="stillhouse",
    help="Knowledge distillation for PyTorch, with a control run and a verdict.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    epilog="An error shows its traceback with --debug.",
)
app.command("distill")(distill.distill)
app.command("compare")(distill.compare)
app.command("run")(run.run)
app.command("check")(check.check)
app.command("ls")(show.listing)
app.command("show")(show.show)
app.command("taps")(taps.taps)
app.command("report")(show.report)
app.command("resume")(run.resume)
app.command("search")(search.search)
app.command("synthesize")(synthesize.synthesize)
app.command("derive")(derive.derive)

INTERRUPTED = 130


def main() -> None:
    """Entry point: a user's mistake is a message and exit code 2, never a traceback."""
    arguments = sys.argv[1:]
    debug = "--debug" in arguments
    sys.argv[1:] = [argument for argument in arguments if argument != "--debug"]
    try:
        app()
    except StillhouseError as error:
        if debug:
            traceback.print_exc()
        print(f"stillhouse: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt:
        print(
            "stillhouse: stopped; the same command, or 'stillhouse resume DIR', goes on from the "
            "last checkpoint",
            file=sys.stderr,
        )
        raise SystemExit(INTERRUPTED) from None
