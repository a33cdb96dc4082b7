"""Which methods fit the networks of a comparison, tried one by one without training."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stillhouse.errors import ProblemsError, StillhouseError
from stillhouse.recipes.study import METHODS, make_study
from stillhouse.runs.job import prepare
from stillhouse.runs.study_data import SharedData


def fitting_methods(
    values: Mapping[str, Any], names: Sequence[str], out: Path, *, allow_imports: bool = False
) -> tuple[list[str], dict[str, str]]:
    """The methods that fit, and why each of the others does not.

    Args:
        values: what all arms share: data, networks, budget.
        names: of methods.
        out: where the comparison would be; nothing is written.
        allow_imports: whether ``python:`` names may be imported.

    Raises:
        StillhouseError: none fits; what is wrong with the first.
    """
    data, fit, unfit = SharedData(), list[str](), dict[str, str]()
    first: StillhouseError | None = None
    for name in names:
        try:
            (recipe,) = make_study({**values, METHODS: [name]}).arms.values()
            prepare(recipe, out / name, allow_imports=allow_imports, feeds=data.feeds(recipe))
            fit.append(name)
        except StillhouseError as error:
            first = first or error
            said = error.problems if isinstance(error, ProblemsError) else [str(error)]
            unfit[name] = "; ".join(said)
    if first is not None and not fit:
        raise first
    return fit, unfit
