"""Stillhouse: knowledge distillation for PyTorch, with numbers that can be trusted.

>>> import stillhouse as sh
>>> sh.functional.kl.__name__, sh.__version__[:2]
('kl', '0.')
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stillhouse import bridges, diagnostics, functional, losses, methods, models, testing
    from stillhouse.api import distill, outcome, study
    from stillhouse.deploy.bench import bench
    from stillhouse.deploy.predictor import load
    from stillhouse.engine.fit import fit
    from stillhouse.engine.nodes import Bridge, Ema, Role
    from stillhouse.engine.objective import Objective
    from stillhouse.engine.stage import Stage, Update
    from stillhouse.engine.terms import Term
    from stillhouse.engine.trainer import Settings
    from stillhouse.errors import StillhouseError
    from stillhouse.methods.opening import objective
    from stillhouse.records.metric import Metric
    from stillhouse.runs.outcome import Outcome
    from stillhouse.runs.progress import EpochEnd
    from stillhouse.studies.outcome import StudyOutcome
    from stillhouse.synthesis import synthesize
    from stillhouse.tasks import Task

    __version__: str

# Loaded when first asked for, so that `import stillhouse` costs little more than `import torch`.
_HOMES = {
    "Bridge": "engine.nodes",
    "Ema": "engine.nodes",
    "EpochEnd": "runs.progress",
    "Metric": "records.metric",
    "Objective": "engine.objective",
    "Outcome": "runs.outcome",
    "Role": "engine.nodes",
    "Settings": "engine.trainer",
    "Stage": "engine.stage",
    "StillhouseError": "errors",
    "StudyOutcome": "studies.outcome",
    "Task": "tasks",
    "Term": "engine.terms",
    "Update": "engine.stage",
    "bench": "deploy.bench",
    "distill": "api",
    "load": "deploy.predictor",
    "fit": "engine.fit",
    "objective": "methods.opening",
    "outcome": "api",
    "study": "api",
    "synthesize": "synthesis",
}
_ROOMS = ("bridges", "diagnostics", "functional", "losses", "methods", "models", "testing")

__all__ = [
    "Bridge",
    "Ema",
    "EpochEnd",
    "Metric",
    "Objective",
    "Outcome",
    "Role",
    "Settings",
    "Stage",
    "StillhouseError",
    "StudyOutcome",
    "Task",
    "Term",
    "Update",
    "__version__",
    "bench",
    "bridges",
    "diagnostics",
    "distill",
    "fit",
    "functional",
    "load",
    "losses",
    "methods",
    "models",
    "objective",
    "outcome",
    "study",
    "synthesize",
    "testing",
]


def __getattr__(name: str) -> object:
    if name in _ROOMS:
        return _import_module(f"{__name__}.{name}")
    if name in _HOMES:
        return getattr(_import_module(f"{__name__}.{_HOMES[name]}"), name)
    if name == "__version__":
        return _import_module("importlib.metadata").version(__name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
