"""The application: its commands."""

import sys

import typer

from stillhouse.cli import (
    bench,
    check,
    derive,
    distill,
    evaluate,
    export,
    predict,
    run,
    search,
    show,
    synthesize,
    taps,
)
from stillhouse.cli.boundary import guarded

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
app.command("predict")(predict.predict)
app.command("evaluate")(evaluate.evaluate)
app.command("export")(export.export)
app.command("bench")(bench.bench)
app.command("search")(search.search)
app.command("synthesize")(synthesize.synthesize)
app.command("derive")(derive.derive)


def main() -> None:
    """Entry point: whatever ends a command is told in a sentence (`cli.boundary`)."""
    arguments = sys.argv[1:]
    debug = "--debug" in arguments
    sys.argv[1:] = arguments = [argument for argument in arguments if argument != "--debug"]
    raise SystemExit(guarded(app, arguments, debug=debug))
