"""What can go wrong, and how it is said.

Every message says what was asked, what exists and what to do. The tree::

    StillhouseError
    |-- RecipeError      the recipe or the command line asks for something impossible
    |-- WiringError      signals, taps, terms and updates do not fit together
    |-- DataError        a file, row, label or split is wrong
    |-- ModelError       a model is unknown, or gives what it should not
    |-- WeightsError     a weights file does not fit or cannot be trusted
    |-- RunError         a run directory is in the way, or a checkpoint is damaged
    |-- CacheError       a teacher cache does not belong to this run
    |-- MissingExtra     an optional package is needed
    |-- SystemFault      a disk, memory, a process or the network failed
    `-- NonFiniteLoss    a term became inf or nan (exit code 1: the input was fine)
"""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches


class StillhouseError(Exception):
    """Base of all errors that a user can mend; printed without a traceback."""

    exit_code = 2


class ProblemsError(StillhouseError):
    """Several problems found together and reported at once.

    >>> print(WiringError("stage 'kd'", ["no signal 'x'", "no node 'y'"]))
    stage 'kd' has 2 problems:
      - no signal 'x'
      - no node 'y'
    """

    def __init__(self, where: str, problems: Sequence[str]) -> None:
        self.where = where
        self.problems = tuple(problems)
        super().__init__(where, self.problems)

    def __str__(self) -> str:
        if len(self.problems) == 1:
            return f"{self.where}: {self.problems[0]}"
        lines = "\n".join(f"  - {problem}" for problem in self.problems)
        return f"{self.where} has {len(self.problems)} problems:\n{lines}"


class RecipeError(ProblemsError):
    """The recipe or the command line asks for something impossible."""


class WiringError(ProblemsError):
    """Signals, taps, terms and updates do not fit together."""


class DataError(StillhouseError):
    """A file, row, label or split is wrong."""


class ModelError(StillhouseError):
    """A model is unknown, or gives what it should not."""


class WeightsError(StillhouseError):
    """A weights file does not fit the model or cannot be trusted."""


class WeightsMisfit(WeightsError):  # noqa: N818  (said of the two, not a fault of one)
    """Names or shapes of a file are not those of the model, of which its classifier may be all."""


class RunError(StillhouseError):
    """A run directory is in the way, or a checkpoint is damaged."""


class CacheError(StillhouseError):
    """A teacher cache does not belong to this run."""


class MissingExtra(StillhouseError):  # noqa: N818  (the name says what is missing)
    """An optional package is needed: says which extra installs it."""

    def __init__(self, what: str, package: str, extra: str) -> None:
        super().__init__(
            f"{what} needs the package '{package}', which is not installed; "
            f"install it with: pip install 'stillhouse[{extra}]'"
        )


class SystemFault(StillhouseError):  # noqa: N818  (a fault of the system, not of the user)
    """A disk, memory, a process or the network failed; what was finished is kept.

    Made by `stillhouse.faults`; its cause is what was raised.
    """


class NonFiniteLoss(StillhouseError):  # noqa: N818  (an event of the run, not of the input)
    """A term (or a weight: no name) became inf or nan.

    Whoever knows what is safe says so (`kept`): the last good checkpoint, batches that are done.

    >>> error = NonFiniteLoss("kd", 7)
    >>> str(error.kept("the checkpoint of epoch 1 is kept")).split(". ")[0]
    "term 'kd' is not finite at step 7; the checkpoint of epoch 1 is kept"
    """

    exit_code = 1

    def __init__(self, term: str, step: int, safe: str = "no checkpoint was written yet") -> None:
        self.term = term
        self.step = step
        self.safe = safe
        what = f"term '{term}' is not finite" if term else "the weights are not finite"
        super().__init__(
            f"{what} at step {step}; {safe}. "
            "Lower the learning rate or the term's weight, or clip gradients (clip: 5.0)."
        )

    def kept(self, safe: str) -> "NonFiniteLoss":
        """The same error, which says what is safe."""
        return NonFiniteLoss(self.term, self.step, safe)


def nearest(name: str, options: Iterable[str], *, most: int = 3) -> str:
    """Say which options resemble a name that does not exist, in capitals or not.

    >>> nearest("layre3", ["layer1", "layer3", "fc"])
    'nearest: layer3, layer1'
    >>> nearest("zzz", ["layer1", "fc"])
    'there is: layer1, fc'
    >>> nearest("ADAMW", ["sgd", "adamw"])
    'nearest: adamw'
    """
    known = list(options)
    written: dict[str, list[str]] = {}  # by what they are in small letters
    for each in known:
        written.setdefault(each.lower(), []).append(each)
    alike = get_close_matches(name.lower(), written, n=most, cutoff=0.5)
    close = [each for small in alike for each in written[small]][:most]
    if close:
        return "nearest: " + ", ".join(close)
    if not known:
        return "there is none"
    shown = ", ".join(known[:8])
    return f"there is: {shown}" + (f" and {len(known) - 8} more" if len(known) > 8 else "")
