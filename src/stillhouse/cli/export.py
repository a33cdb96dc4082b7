"""``stillhouse export``: the student of a run as a file for other programs."""

from pathlib import Path
from typing import Annotated

import typer

from stillhouse.cli.options import TARGET, AllowProgram, RunDirectory, among
from stillhouse.errors import RecipeError


def export(
    run: RunDirectory,
    to: Annotated[
        str,
        typer.Option(
            "--to",
            help="Format: onnx, pt2, torchscript, or hub (a folder for the Hugging Face hub).",
            autocompletion=among("onnx", "pt2", "torchscript", "hub"),
        ),
    ] = "onnx",
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            help="File or folder to write (default: beside the folder of the student).",
        ),
    ] = None,
    int8: Annotated[
        bool,
        typer.Option("--int8", help="Of onnx: 8-bit integers; a student of floats is quantised."),
    ] = False,
    target: Annotated[
        str, typer.Option(help=TARGET, autocompletion=among("x86", "vnni", "arm"))
    ] = "x86",
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Write nothing; compare the answers of the file that was written before.",
        ),
    ] = False,
    repo_id: Annotated[
        str | None,
        typer.Option(
            help="With --to hub: upload to this repository (OWNER/NAME), and write no folder."
        ),
    ] = None,
    private: Annotated[
        bool, typer.Option("--private", help="With --repo-id: make a new repository private.")
    ] = False,
    update: Annotated[
        bool,
        typer.Option("--update", help="With --repo-id: add a commit if the repository exists."),
    ] = False,
    allow_program: AllowProgram = False,
) -> None:
    """Write the student of a run as ONNX, pt2 or TorchScript, and compare answers."""
    from stillhouse.deploy.export import FORMATS, export_student
    from stillhouse.deploy.int8_onnx import TARGETS
    from stillhouse.records.run import SCORES
    from stillhouse.report.page import write_report

    if to not in FORMATS:
        raise RecipeError("export", [f"no format '{to}'; there is: {', '.join(FORMATS)}"])
    if target not in TARGETS:
        raise RecipeError("export", [f"no target '{target}'; there is: {', '.join(TARGETS)}"])
    if repo_id is None and (private or update):
        raise RecipeError("export", ["--private and --update are of --repo-id; give it"])
    if repo_id is not None:
        if to != "hub" or out is not None or int8 or check:
            raise RecipeError(
                "export", ["--repo-id is of --to hub, and goes without -o, --int8 and --check"]
            )
        from stillhouse.deploy.predictor import student_in
        from stillhouse.deploy.push import push_folder

        url, names = push_folder(student_in(run), repo_id, private=private, update=update)
        typer.echo(f"{url}: {', '.join(names)}")
        return
    lines = export_student(
        run,
        to,
        out,
        int8=int8,
        target=TARGETS[target],
        check=check,
        allow_program=allow_program,
    )
    for line in lines:
        typer.echo(line)
    if not check and (run / SCORES).is_file():
        write_report(run)
