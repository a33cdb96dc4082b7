"""``stillhouse compare``: many methods on one teacher, each against the control and tuned KD."""

from pathlib import Path
from typing import Annotated, Any

import typer

from stillhouse.cli.options import AllowImports, Out, Quiet, Set, Shared


def compare(
    methods: Annotated[
        list[str], typer.Argument(help="Names ('stillhouse ls methods'), or all.", metavar="METHOD")
    ],
    out: Out,
    recipe: Annotated[
        Path | None, typer.Option(help="A recipe with data, networks and budget; or say them here.")
    ] = None,
    data: Annotated[str | None, typer.Option(help="digits, a folder, a .npz, a hub name.")] = None,
    teacher: Annotated[str | None, typer.Option(help="The large model.")] = None,
    student: Annotated[str | None, typer.Option(help="The small model.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training data.")] = None,
    seeds: Annotated[int | None, typer.Option(help="How many; 3 or more give words.")] = None,
    tune: Annotated[
        bool, typer.Option("--tune/--no-tune", help="Compare with KD at its best of five settings.")
    ] = True,
    settings: Set = None,
    shared: Shared = None,
    check: Annotated[bool, typer.Option(help="Only check that all arms fit together.")] = False,
    allow_imports: AllowImports = False,
    quiet: Quiet = False,
) -> None:
    """Compare methods: one teacher, one control, equal budgets; ends in a table, best first.

    Each method is paired with the control and with plain KD, which is tuned on validation over
    five settings. The same command goes on where it was stopped.
    """
    from stillhouse.cli.studying import check_study, run_a_study
    from stillhouse.recipes import make_study, override_study, read_yaml

    given = {"teacher": teacher, "student": student, "epochs": epochs, "seeds": seeds}
    given["data"] = data
    values: dict[str, Any] = {} if recipe is None else dict(read_yaml(recipe))
    values.pop("method", None)
    values |= {key: value for key, value in given.items() if value is not None}
    values |= _contenders(methods, tune=tune and values.get("teacher") is not None)
    study = make_study(override_study(values, settings or []), where="compare")
    if check:
        check_study(study, out, allow_imports=allow_imports)
        return
    run_a_study(study, out, shared=shared, allow_imports=allow_imports, quiet=quiet)


def _contenders(methods: list[str], *, tune: bool) -> dict[str, Any]:
    """The keys of the study: the methods, and settings of KD of which the best is compared with."""
    from stillhouse.recipes.contenders import ALL, TUNED_KD, contender_name

    names: Any = ALL if methods == [ALL] else list(methods)
    if not tune:
        return {"methods": names}
    if names != ALL and "kd" not in names:
        names = ["kd", *names]
    rivals = {contender_name(each): {"method": dict(each)} for each in TUNED_KD}
    return {"methods": names, "arms": rivals, "against": ["kd", *rivals]}
