"""Stillhouse: knowledge distillation for PyTorch, with numbers that can be trusted.

>>> import stillhouse
>>> stillhouse.functional.kl.__name__
'kl'
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stillhouse import functional, methods, models
    from stillhouse.api import distill, study
    from stillhouse.engine.fit import fit
    from stillhouse.engine.nodes import Bridge, Ema, Role
    from stillhouse.engine.stage import Stage, Update
    from stillhouse.engine.terms import Term
    from stillhouse.errors import StillhouseError
    from stillhouse.synthesis import synthesize

# Loaded when first asked for, so that `import stillhouse` costs little more than `import torch`.
_HOMES = {
    "Bridge": "stillhouse.engine.nodes",
    "Ema": "stillhouse.engine.nodes",
    "Role": "stillhouse.engine.nodes",
    "Stage": "stillhouse.engine.stage",
    "StillhouseError": "stillhouse.errors",
    "Term": "stillhouse.engine.terms",
    "Update": "stillhouse.engine.stage",
    "distill": "stillhouse.api",
    "fit": "stillhouse.engine.fit",
    "study": "stillhouse.api",
    "synthesize": "stillhouse.synthesis",
}
_ROOMS = ("functional", "methods", "models")

__all__ = [
    "Bridge",
    "Ema",
    "Role",
    "Stage",
    "StillhouseError",
    "Term",
    "Update",
    "distill",
    "fit",
    "functional",
    "methods",
    "models",
    "study",
    "synthesize",
]


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return import_module(f"stillhouse.{name}")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'stillhouse' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
