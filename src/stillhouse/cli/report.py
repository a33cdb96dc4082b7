"""``stillhouse report``: write report.html again from the files of a run, study or synthesis."""

from pathlib import Path
from typing import Annotated

import typer


def report(
    directory: Annotated[
        Path, typer.Argument(help="The directory of the run, study or transfer set.")
    ],
) -> None:
    """Write report.html from the files of a run, a study or a transfer set."""
    from stillhouse.data.sources.synthesis import is_synthesis
    from stillhouse.report import write_report, write_study_report, write_transfer_report
    from stillhouse.studies.directory import is_study_directory

    if is_study_directory(directory):
        write = write_study_report
    elif is_synthesis(directory):
        write = write_transfer_report
    else:
        write = write_report
    typer.echo(write(directory))
