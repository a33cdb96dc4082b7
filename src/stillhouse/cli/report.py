"""``stillhouse report``: write report.html again from the files of a run or a study."""

from pathlib import Path
from typing import Annotated

import typer


def report(
    directory: Annotated[Path, typer.Argument(help="The directory of the run or study.")],
) -> None:
    """Write report.html from the files of a run or a study."""
    from stillhouse.report import write_report, write_study_report
    from stillhouse.runs.study_directory import is_study_directory

    write = write_study_report if is_study_directory(directory) else write_report
    typer.echo(write(directory))
