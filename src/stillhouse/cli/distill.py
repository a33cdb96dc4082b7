"""``stillhouse distill`` and ``stillhouse compare``: a run and a study that options describe."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from stillhouse.cli.options import AllowImports, Out, Quiet, Set, Shared, Track


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
    tune: Annotated[
        bool,
        typer.Option("--tune", help="First choose KD's settings on validation."),
    ] = False,
    track: Track = None,
    settings: Set = None,
    shared: Shared = None,
    allow_imports: AllowImports = False,
    quiet: Quiet = False,
) -> None:
    """Distil a teacher into a student, with its control, over seeds; ends with a verdict."""
    from stillhouse.cli.run import run_recipe
    from stillhouse.recipes import make_recipe, override

    values: dict[str, Any] = {
        "data": {"source": data, **({} if limit is None else {"limit": limit})},
        "student": student,
        "method": method,
        "epochs": epochs,
        "seeds": seeds,
        "batch": batch,
        "control": control,
        **({"tune": True} if tune else {}),
        **({} if track is None else {"track": track}),
    }
    if teacher is not None:
        values["teacher"] = {"model": teacher}
        if teacher_weights is not None:
            values["teacher"]["weights"] = str(teacher_weights)
    elif teacher_weights is not None:
        raise typer.BadParameter("--teacher-weights needs --teacher MODEL, the network they fit")
    recipe = make_recipe(override(values, settings or []), where="distill")
    run_recipe(recipe, out, shared=shared, allow_imports=allow_imports, quiet=quiet)


def compare(
    methods: Annotated[
        list[str],
        typer.Argument(
            help="Names ('stillhouse ls methods'), or all; or directories of finished runs "
            "(./kd, where one is called as a method is).",
            metavar="METHOD|RUN",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Directory of the study; not for runs.")
    ] = None,
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
    track: Track = None,
    settings: Set = None,
    shared: Shared = None,
    check: Annotated[bool, typer.Option(help="Only check that all arms fit together.")] = False,
    allow_imports: AllowImports = False,
    quiet: Quiet = False,
) -> None:
    """Compare methods: one teacher, one control, equal budgets; ends in a table, best first.

    Each method is paired with the control and with plain KD, which is tuned on validation over
    five settings. The same command goes on where it was stopped. Directories of finished runs are
    shown side by side instead, with their paired difference where they are comparable.
    """
    runs = _runs(methods)
    if runs:
        from stillhouse.cli.runs import compare_runs

        options = (out, recipe, data, teacher, student, epochs, seeds, track, settings, shared)
        if any(each is not None for each in options) or check:
            raise typer.BadParameter("runs are compared as they are; options are for methods")
        compare_runs(runs)
        return
    if out is None:
        raise typer.BadParameter("methods are compared in a directory; give one (-o DIR)")
    from stillhouse.cli.studying import check_study, run_a_study
    from stillhouse.recipes import make_study, override_study, read_yaml

    given = {"teacher": teacher, "student": student, "epochs": epochs, "seeds": seeds,
             "track": track}  # fmt: skip
    given["data"] = data
    values: dict[str, Any] = {} if recipe is None else _recipe(recipe, read_yaml(recipe))
    values |= {key: value for key, value in given.items() if value is not None}
    values = override_study(values, settings or [])
    taught = values.get("teacher") is not None
    names = _names(methods, values, out, taught=taught, allow_imports=allow_imports)
    tune = tune and taught and _takes_kd(values, names[0], out, allow_imports=allow_imports)
    values |= _contenders(names, tune=tune, balanced=values.get("balance") is not None)
    study = make_study(values, where="compare")
    if check:
        check_study(study, out, shared=shared, allow_imports=allow_imports)
        return
    run_a_study(study, out, shared=shared, allow_imports=allow_imports, quiet=quiet)


def _runs(names: list[str]) -> list[Path]:
    """The arguments as directories of runs; none where they are methods.

    What is called as a method is, or is written like one of somebody's own, is a method.
    """
    from stillhouse.methods import METHODS
    from stillhouse.recipes.arms import ALL
    from stillhouse.recipes.choices import is_own

    known = {ALL, *(method.name for method in METHODS)}
    paths = [
        Path(name) for name in names
        if name not in known and not is_own(name) and ("/" in name or Path(name).is_dir())
    ]  # fmt: skip
    if paths and len(paths) < len(names):
        others = ", ".join(name for name in names if Path(name) not in paths)
        said = f"{paths[0]} is a directory and {others} is none"
        raise typer.BadParameter(f"{said}; compare either methods or finished runs (./kd)")
    return paths


def _recipe(path: Path, values: Mapping[str, Any]) -> dict[str, Any]:
    """What a recipe says beside its method; a study has arms of its own."""
    from stillhouse.errors import RecipeError
    from stillhouse.recipes.study import OWN_KEYS

    own = [key for key in OWN_KEYS if key in values and key != "title"]
    if own:
        said = f"it is a study (it has '{own[0]}'), whose arms compare would replace"
        raise RecipeError(str(path), [f"{said}; run it: stillhouse run {path}"])
    return {key: value for key, value in values.items() if key not in ("method", "title")}


def _names(
    methods: list[str], values: dict[str, Any], out: Path, *, taught: bool, allow_imports: bool
) -> list[str]:
    """The methods that are meant; of all, those that fit these networks, and a word on the rest."""
    from rich.console import Console

    from stillhouse.recipes.arms import ALL, all_methods
    from stillhouse.studies.arms import fitting_methods

    if methods != [ALL]:
        return methods
    names = all_methods(teacher=taught)
    fit, unfit = fitting_methods(values, names, out, allow_imports=allow_imports)
    console = Console(highlight=False, soft_wrap=True)
    for name, why in unfit.items():
        console.print(f"left out: {name}: {why}", markup=False)
    return fit


def _takes_kd(values: dict[str, Any], first: str, out: Path, *, allow_imports: bool) -> bool:
    """Whether there is plain KD to compare with; a word where the task has no classes for it.

    ``first``: of the methods; where it does not fit either, that is what is said.
    """
    from rich.console import Console

    from stillhouse.studies.arms import fitting_methods

    if values.get("task") is None:  # a classification
        return True
    _, unfit = fitting_methods(values, [first, "kd"], out, allow_imports=allow_imports)
    if "kd" in unfit:
        said = f"No method is compared with plain KD, each with the control alone: {unfit['kd']}"
        Console(highlight=False, soft_wrap=True).print(said, markup=False)
    return "kd" not in unfit


def _contenders(names: list[str], *, tune: bool, balanced: bool) -> dict[str, Any]:
    """The keys of the study: the methods, and settings of KD of which the best is compared with."""
    from stillhouse.recipes.arms import TUNED_KD, contender_name

    if not tune:
        return {"methods": names}
    if "kd" not in names:
        names = ["kd", *names]
    # Balanced, all weights of KD would be one run; the opponent keeps the weights it is tuned over.
    own = {"balance": None} if balanced else {}
    rivals = {contender_name(each): {"method": dict(each), **own} for each in TUNED_KD}
    return {"methods": names, "arms": rivals, "against": ["kd", *rivals]}
