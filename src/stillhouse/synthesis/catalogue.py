"""Every method of synthesis, as one explicit tuple."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from stillhouse.errors import RecipeError, nearest
from stillhouse.synthesis.baselines import noise_gaussian, noise_uniform, real, unrelated
from stillhouse.synthesis.deep_inversion import adi, deep_inversion
from stillhouse.synthesis.fast_dfkd import fast_dfkd
from stillhouse.synthesis.generator_methods import dafl, dfad
from stillhouse.synthesis.maker import Maker
from stillhouse.synthesis.zero_shot import (
    class_impressions,
    flat_dirichlet,
    zero_shot,
    zero_shot_released,
)

SYNTHESES: tuple[Callable[..., Maker], ...] = (
    zero_shot,
    zero_shot_released,
    class_impressions,
    flat_dirichlet,
    deep_inversion,
    adi,
    dafl,
    dfad,
    fast_dfkd,
    noise_uniform,
    noise_gaussian,
    unrelated,
    real,
)


def synthesis_names() -> tuple[str, ...]:
    """Names that `make_maker` knows.

    >>> synthesis_names()[0]
    'zero_shot'
    """
    return tuple(build.__name__ for build in SYNTHESES)


def make_maker(method: str | Mapping[str, Any] | Maker) -> Maker:
    """A method by its name, by ``{'name': ..., setting: ...}``, or as it is.

    Raises:
        RecipeError: no such method or setting, or a setting out of its range.

    >>> make_maker({"name": "zero_shot", "steps": 200}).settings["steps"]
    200
    """
    if isinstance(method, Maker):
        return method
    settings = {"name": method} if isinstance(method, str) else dict(method)
    name = str(settings.pop("name", ""))
    for build in SYNTHESES:
        if build.__name__ == name:
            _check_names(build, settings)
            return build(**settings)
    raise RecipeError("synthesis", [f"no method '{name}'; {nearest(name, synthesis_names())}"])


def _check_names(build: Callable[..., Maker], settings: Mapping[str, Any]) -> None:
    parameters = inspect.signature(build).parameters
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    problems = [
        f"no setting '{key}'; {nearest(key, parameters)}"
        for key in settings
        if key not in parameters and not open_ended
    ]
    problems += [
        f"setting '{key}' is needed"
        for key, p in parameters.items()
        if p.default is p.empty and p.kind is p.KEYWORD_ONLY and key not in settings
    ]
    if problems:
        raise RecipeError(f"synthesis '{build.__name__}'", problems)
