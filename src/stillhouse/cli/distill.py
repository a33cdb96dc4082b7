"""``stillhouse distill``: the main job from options alone."""

from pathlib import Path
from typing import Annotated, Any

import typer

from stillhouse.cli.options import AllowImports, Out, Quiet, Set, Shared


def distill(
    data: Annotated[str, typer.Option(help="digits, a folder, a .npz, or a hub name.")],
    student: Annotated[str, typer.Option(help="The small model ('stillhouse ls models').")],
    out: Out,
    teacher: Annotated[str | None, typer.Option(help="The large model.")] = None,
    teacher_weights: Annotated[
        Path | None, typer.Option(help="Its weights; without them it is trained first.")
    ] = None,
    method: Annotated[str, typer.Option(help="How to distil ('stillhouse ls methods').")] = "kd",
    epochs: Annotated[int, typer.Option(help="Passes over the training data.")] = 30,
    seeds: Annotated[int, typer.Option(help="How many seeds; 3 or more give a verdict.")] = 3,
    batch: Annotated[int, typer.Option(help="Images per step.")] = 64,
    limit: Annotated[int | None, typer.Option(help="Train on so many images only.")] = None,
    control: Annotated[
        bool, typer.Option("--control/--no-control", help="Train the student alone, too.")
    ] = True,
    settings: Set = None,
    shared: Shared = None,
    allow_imports: AllowImports = False,
    quiet: Quiet = False,
) -> None:
    """Distil a teacher into a student, with its control, over seeds; ends with a verdict."""
    from stillhouse.cli.running import run_recipe
    from stillhouse.recipes import make_recipe, override

    values: dict[str, Any] = {
        "data": {"source": data, **({} if limit is None else {"limit": limit})},
        "student": student,
        "method": method,
        "epochs": epochs,
        "seeds": seeds,
        "batch": batch,
        "control": control,
    }
    if teacher is not None:
        values["teacher"] = {"model": teacher}
        if teacher_weights is not None:
            values["teacher"]["weights"] = str(teacher_weights)
    elif teacher_weights is not None:
        raise typer.BadParameter("--teacher-weights needs --teacher MODEL, the network they fit")
    recipe = make_recipe(override(values, settings or []), where="distill")
    run_recipe(recipe, out, shared=shared, allow_imports=allow_imports, quiet=quiet)
