"""``stillhouse report``: write report.html again from the files of a run."""

from pathlib import Path
from typing import Annotated

import typer


def report(
    directory: Annotated[Path, typer.Argument(help="The directory of the run.")],
) -> None:
    """Write report.html from the files of a run."""
    from stillhouse.report import write_report

    typer.echo(write_report(directory))
