"""The keys of a recipe as arguments of a call, with their types: for editors and for ``help``."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypedDict

Named = str | Mapping[str, Any]
"""A name, or {'name': ..., setting: ...}."""


class RecipeKeys(TypedDict, total=False):
    """Keys of a recipe beside data, networks, method, task, epochs and seeds.

    What each of them means and may be is on the page docs/recipes.md.
    """

    batch: int
    optimizer: Named
    schedule: Named
    patience: int | None
    ema: float | bool | Mapping[str, Any] | None
    label_smoothing: float
    class_weights: Literal["balanced"] | Sequence[float] | Mapping[str, float] | None
    balance: Literal["gradient"] | Mapping[str, Any] | None
    cache: Literal["auto", "always", "never"] | bool | Mapping[str, Any]
    control: bool
    tune: bool | Mapping[str, Any] | None
    transfer: Mapping[str, Any] | None
    probe: str | Path | Mapping[str, Any] | None
    verdict: Mapping[str, Any]
    track: str | Sequence[str] | Mapping[str, Any] | None
    precision: Literal["auto", "fp32", "bf16", "fp16"]
    device: str
    accumulate: int
    clip: float | None
    compile: bool | Literal["auto"]
    checkpoint_seconds: float
