"""The keys of a recipe as arguments of a call, with their types: for editors and for ``help``."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict

from stillhouse.recipes.typed import (
    AverageKeys,
    BalanceKeys,
    CacheKeys,
    OptimizerKeys,
    Place,
    ProbeKeys,
    ScheduleKeys,
    TrackKeys,
    TransferKeys,
    VerdictKeys,
)

Other = Mapping[str, Any]
"""A section that was put together elsewhere: its keys are checked when the call begins."""


class RecipeKeys(TypedDict, total=False):
    """Keys of a recipe beside teacher, student, data, method, epochs and seeds.

    What each of them means and may be is on the page docs/recipes.md.
    """

    task: Any
    peers: Any
    batch: int
    optimizer: str | OptimizerKeys | Other
    schedule: str | ScheduleKeys | Other
    patience: int | None
    ema: float | bool | AverageKeys | Other | None
    label_smoothing: float
    class_weights: Literal["balanced"] | Sequence[float] | Mapping[str, float] | None
    balance: Literal["gradient"] | BalanceKeys | Other | None
    cache: Literal["auto", "always", "never"] | bool | CacheKeys | Other
    control: bool
    tune: bool | Mapping[str, Sequence[Any]] | None
    transfer: TransferKeys | Other | None
    probe: Place | ProbeKeys | Other | None
    verdict: VerdictKeys | Other
    track: str | Sequence[str] | TrackKeys | Other | None
    precision: Literal["auto", "fp32", "bf16", "fp16"]
    device: str
    accumulate: int
    clip: float | None
    compile: bool | Literal["auto", "graphs"]
    checkpoint_seconds: float
