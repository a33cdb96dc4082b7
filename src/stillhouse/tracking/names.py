"""The trackers that there are, and whether what they need is installed."""

from collections.abc import Iterable
from importlib.util import find_spec

from stillhouse.errors import RecipeError

TRACKERS: dict[str, tuple[str, ...]] = {
    "tensorboard": ("tensorboard", "tensorboardX"),
    "mlflow": ("mlflow",),
    "trackio": ("trackio",),
    "wandb": ("wandb",),
}
"""By the name that Accelerate gives them: the packages of which one is needed."""


def check_installed(trackers: Iterable[str]) -> None:
    """See that every tracker that is asked for can be imported; imports none.

    Raises:
        RecipeError: which cannot, and how to install them.

    >>> check_installed([])
    """
    missing = [name for name in trackers if not any(map(find_spec, TRACKERS[name]))]
    if missing:
        names, many = " ".join(missing), len(missing) > 1
        raise RecipeError(
            "track",
            [f"{' and '.join(missing)} {'are' if many else 'is'} not installed; pip install "
             f"{names}, or leave {'them' if many else 'it'} out"],
        )  # fmt: skip
