"""What a search may choose a student from: our families, by kind of block, depth and width.

Every choice is a name of `stillhouse.models`, so what a search finds is written in a recipe as it
is. Budgets refuse a candidate by what it costs, before it learns anything.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from stillhouse.errors import RecipeError


class Chooser(Protocol):
    """Who chooses a value of a named setting, such as a trial of Optuna."""

    def suggest_categorical(self, name: str, choices: Sequence[str]) -> Any:
        """One of these words."""

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1) -> int:
        """A number between low and high, in steps."""


@dataclass(frozen=True)
class Block:
    """Networks of one kind of block.

    Args:
        depths: numbers of stages or of blocks per stage, from..to.
        widths: of the first stage, from..to, in steps of the third.
        name: the name of the model of a depth and a width.
    """

    depths: tuple[int, int]
    widths: tuple[int, int, int]
    name: Callable[[int, int], str]


def _plain(depth: int, width: int) -> str:
    return "convnet-" + "-".join(str(width * 2**stage) for stage in range(depth))


BLOCKS: Mapping[str, Block] = {
    "plain": Block((2, 5), (4, 64, 4), _plain),
    "residual": Block((1, 5), (4, 48, 4), lambda n, w: f"resnet{6 * n + 2}w{w}"),
    "preactivation": Block((1, 4), (1, 4, 1), lambda n, k: f"wrn_{6 * n + 4}_{k}"),
}
"""Plain convolutions that double in width (convnet), residual blocks (resnet), and residual blocks
with the norm first (wrn, whose width is a factor)."""


def suggest(chooser: Chooser) -> str:
    """The name of the model that a chooser asks for.

    >>> class First:
    ...     def suggest_categorical(self, name, choices): return choices[0]
    ...     def suggest_int(self, name, low, high, *, step=1): return low
    >>> suggest(First())
    'convnet-4-8'
    """
    kind = chooser.suggest_categorical("block", list(BLOCKS))
    block = BLOCKS[kind]
    depth = chooser.suggest_int(f"{kind} depth", *block.depths)
    low, high, step = block.widths
    return block.name(depth, chooser.suggest_int(f"{kind} width", low, high, step=step))


def choices() -> Iterator[tuple[dict[str, Any], str]]:
    """All settings, each with the name of its model.

    >>> names = [name for _, name in choices()]
    >>> len(names) == len(set(names)), len(names), names[-1]
    (True, 140, 'wrn_28_4')
    """
    for kind, block in BLOCKS.items():
        for depth in range(block.depths[0], block.depths[1] + 1):
            low, high, step = block.widths
            for width in range(low, high + 1, step):
                settings = {"block": kind, f"{kind} depth": depth, f"{kind} width": width}
                yield settings, block.name(depth, width)


@dataclass(frozen=True)
class Budget:
    """What a student may cost.

    Args:
        parameters: at most so many.
        milliseconds: at most so long for one image, where the search runs.

    >>> Budget(parameters=1000).objection(parameters=1200, milliseconds=None)
    '1,200 parameters of 1,000'
    """

    parameters: int | None = None
    milliseconds: float | None = None

    def __post_init__(self) -> None:
        given = [value for value in (self.parameters, self.milliseconds) if value is not None]
        if not given:
            raise RecipeError("budget", ["say what a student may cost: --parameters 50000 or "
                                         "--latency-ms 2.0"])  # fmt: skip
        if min(given) <= 0:
            raise RecipeError("budget", [f"a student cannot cost {min(given)}; give more than 0"])

    def objection(self, *, parameters: int, milliseconds: float | None) -> str | None:
        """Why a candidate is refused; None where it is not. Without a time only its size counts."""
        if self.parameters is not None and parameters > self.parameters:
            return f"{parameters:,} parameters of {self.parameters:,}"
        if self.milliseconds is None or milliseconds is None:
            return None
        if milliseconds > self.milliseconds:
            return f"{milliseconds:.2f} ms of {self.milliseconds:g}"
        return None
