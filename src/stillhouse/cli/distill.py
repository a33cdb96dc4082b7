"""``stillhouse distill`` and ``stillhouse compare``: a run and a study that options describe."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from stillhouse.cli.options import AllowImports, Out, Quiet, Set, Shared, Track, loading
from stillhouse.errors import RecipeError

DATA = (
    "A name such as digits or cifar100 ('stillhouse ls data'), a folder, a file, or hf:ORG/NAME of "
    "the Hugging Face hub."
)
TEACHER = "Large network, whose outputs the student learns from ('stillhouse ls models')."
STUDENT = "Small network, which is trained ('stillhouse ls models')."
EPOCHS = "Number of epochs (passes over the training data)."
SEEDS = "Number of repetitions, each with another seed; a verdict needs 3 or more."


def distill(
    data: Annotated[str, typer.Option(help=DATA)],
    student: Annotated[str, typer.Option(help=STUDENT)],
    out: Out,
    teacher: Annotated[str | None, typer.Option(help=TEACHER)] = None,
    teacher_weights: Annotated[
        Path | None,
        typer.Option(
            help="File of the teacher's weights; without it the teacher is trained first."
        ),
    ] = None,
    method: Annotated[
        str, typer.Option(help="Distillation method ('stillhouse ls methods').")
    ] = "kd",
    epochs: Annotated[int, typer.Option(help=EPOCHS)] = 30,
    seeds: Annotated[int, typer.Option(help=SEEDS)] = 3,
    limit: Annotated[
        int | None, typer.Option(help="Use at most this many rows of the training data.")
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option(help="Batch size (default: 64, or all rows if there are fewer)."),
    ] = None,
    control: Annotated[
        bool,
        typer.Option(
            "--control/--no-control",
            help="Also train the same student without the teacher, to compare with.",
        ),
    ] = True,
    tune: Annotated[
        bool,
        typer.Option(
            "--tune", help="First choose the temperature and weight of KD on the validation set."
        ),
    ] = False,
    track: Track = None,
    settings: Set = None,
    shared: Shared = None,
    allow_imports: AllowImports = False,
    quiet: Quiet = False,
) -> None:
    """Distil a teacher into a student, and compare with training it alone."""
    if teacher is None and teacher_weights is not None:
        said = "--teacher-weights is given without --teacher; name the network that they are of"
        raise RecipeError("distill", [f"{said} (--teacher MODEL)"])
    loading(quiet=quiet)
    from stillhouse.cli.run import run_recipe
    from stillhouse.recipes import make_recipe, override

    values: dict[str, Any] = {
        "data": {"source": data, **({} if limit is None else {"limit": limit})},
        "student": student,
        "method": method,
        "epochs": epochs,
        "seeds": seeds,
        "control": control,
        **({} if batch is None else {"batch": batch}),
        **({"tune": True} if tune else {}),
        **({} if track is None else {"track": track}),
    }
    if teacher is not None:
        values["teacher"] = {"model": teacher}
        if teacher_weights is not None:
            values["teacher"]["weights"] = str(teacher_weights)
    recipe = make_recipe(override(values, settings or []), where="distill")
    run_recipe(recipe, out, shared=shared, allow_imports=allow_imports, quiet=quiet)


def compare(
    methods: Annotated[
        list[str],
        typer.Argument(
            help="Names of methods ('stillhouse ls methods') or all; or directories of finished "
            "runs (write ./kd for a directory that has the name of a method).",
            metavar="METHOD|RUN",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Directory of the study (for methods).")
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option(help="Recipe with data, networks and budget; the options below override it."),
    ] = None,
    data: Annotated[str | None, typer.Option(help=DATA)] = None,
    teacher: Annotated[str | None, typer.Option(help=TEACHER)] = None,
    student: Annotated[str | None, typer.Option(help=STUDENT)] = None,
    epochs: Annotated[int | None, typer.Option(help=EPOCHS)] = None,
    seeds: Annotated[int | None, typer.Option(help=SEEDS)] = None,
    tune: Annotated[
        bool,
        typer.Option(
            "--tune/--no-tune",
            help="Compare with KD at the best of five settings, chosen on the validation set.",
        ),
    ] = True,
    track: Track = None,
    settings: Set = None,
    shared: Shared = None,
    check: Annotated[
        bool,
        typer.Option("--check", help="Train nothing; only check that everything fits together."),
    ] = False,
    allow_imports: AllowImports = False,
    quiet: Quiet = False,
) -> None:
    """Compare methods under equal budgets, or finished runs side by side.

    Each method is compared, seed by seed, with the student trained alone and with plain KD, whose
    temperature and weight are the best of five settings on the validation set. The same command
    continues a comparison that was stopped. Given directories of finished runs, it shows them side
    by side, with their paired difference where they are comparable.
    """
    runs = _runs(methods)
    if runs:
        from stillhouse.cli.runs import compare_runs

        options = (out, recipe, data, teacher, student, epochs, seeds, track, settings, shared)
        if any(each is not None for each in options) or check:
            said = "finished runs are compared as they are; leave the options out"
            raise RecipeError("compare", [f"{said}, or name methods in place of {runs[0]}"])
        compare_runs(runs)
        return
    if out is None:
        said = f"{', '.join(methods)}: methods are trained, which needs a directory; give one"
        raise RecipeError("compare", [f"{said} (-o DIR)"])
    loading(quiet=quiet)
    from stillhouse.cli.asked import asked_values
    from stillhouse.cli.studying import check_study, run_a_study
    from stillhouse.recipes import make_study, override_study

    given = {"teacher": teacher, "student": student, "epochs": epochs, "seeds": seeds,
             "track": track}  # fmt: skip
    given["data"] = data
    values: dict[str, Any] = {} if recipe is None else _recipe(recipe, asked_values(recipe))
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
        said = f"{said}; name either methods or directories of finished runs (./kd)"
        raise RecipeError("compare", [said])
    return paths


def _recipe(path: Path, values: Mapping[str, Any]) -> dict[str, Any]:
    """What a recipe says beside its method; a study has arms of its own."""
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
    from stillhouse.cli.terminal import Terminal
    from stillhouse.recipes.arms import ALL, all_methods
    from stillhouse.studies.arms import fitting_methods

    if methods != [ALL]:
        return methods
    names = all_methods(teacher=taught)
    fit, unfit = fitting_methods(values, names, out, allow_imports=allow_imports)
    console = Terminal()
    for name, why in unfit.items():
        console.print(f"left out: {name}: {why}", markup=False)
    return fit


def _takes_kd(values: dict[str, Any], first: str, out: Path, *, allow_imports: bool) -> bool:
    """Whether there is plain KD to compare with; a word where the task has no classes for it.

    ``first``: of the methods; where it does not fit either, that is what is said.
    """
    from stillhouse.cli.terminal import Terminal
    from stillhouse.studies.arms import fitting_methods

    if values.get("task") is None:  # a classification
        return True
    _, unfit = fitting_methods(values, [first, "kd"], out, allow_imports=allow_imports)
    if "kd" in unfit:
        said = f"No method is compared with plain KD, each with the control alone: {unfit['kd']}"
        Terminal().print(said, markup=False)
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
