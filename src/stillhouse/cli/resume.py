"""``stillhouse resume``: go on with a run or a study that was stopped."""

from pathlib import Path
from typing import Annotated

import typer

from stillhouse.cli.options import AllowImports, Quiet, Shared


def resume(
    directory: Annotated[Path, typer.Argument(help="The directory of the run or study.")],
    shared: Shared = None,
    allow_imports: AllowImports = False,
    quiet: Quiet = False,
) -> None:
    """Go on with a stopped run; a finished one shows its table again."""
    from stillhouse.cli.running import run_recipe
    from stillhouse.cli.studying import run_a_study
    from stillhouse.recipes import load_study, make_recipe
    from stillhouse.runs.directory import read_resolved
    from stillhouse.studies.directory import STUDY, is_study_directory

    if is_study_directory(directory):
        study = load_study(directory / STUDY)
        run_a_study(study, directory, shared=shared, allow_imports=allow_imports, quiet=quiet)
        return
    recipe = make_recipe(read_resolved(directory), where=str(directory))
    run_recipe(recipe, directory, shared=shared, allow_imports=allow_imports, quiet=quiet)
