"""``stillhouse export``: the student of a run as a file for other programs."""

from pathlib import Path
from typing import Annotated

import typer

from stillhouse.cli.options import AllowProgram, RunDirectory
from stillhouse.errors import RecipeError


def export(
    run: RunDirectory,
    to: Annotated[str, typer.Option("--to", help="onnx, pt2, or hub (a folder).")] = "onnx",
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="File or folder (default: beside the run).")
    ] = None,
    allow_program: AllowProgram = False,
) -> None:
    """Write the student of a run for other programs, and compare its answers with the student's."""
    from stillhouse.deploy.export import FORMATS, export_student

    if to not in FORMATS:
        raise RecipeError("export", [f"no format '{to}'; there is: {', '.join(FORMATS)}"])
    for line in export_student(run, to, out, allow_program=allow_program):
        typer.echo(line)
