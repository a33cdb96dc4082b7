"""What each method gained and cost in one study of all of them, for listings.

The numbers are those of a result file; `benchmarks/measured_methods.py` writes them anew.
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from stillhouse.records.metric import MINUS


@dataclass(frozen=True)
class Measured:
    """A method against the same student trained alone, in one small study.

    Args:
        mean, low, high: gain in points of test accuracy, and its 95 % interval over seeds.
        times: its training time, where that of the student alone is 1.
    """

    mean: float
    low: float
    high: float
    times: float

    def __str__(self) -> str:
        """In a line.

        >>> str(Measured(3.62, 2.45, -0.5, 1.2))
        '+3.62 points (+2.45 to −0.50), 1.2 times the training time'
        """
        mean, low, high = (
            f"{value:+.2f}".replace("-", MINUS) for value in (self.mean, self.low, self.high)
        )
        return f"{mean} points ({low} to {high}), {self.times:.1f} times the training time"


@cache
def _content() -> dict[str, Any]:
    file = resources.files("stillhouse.methods") / "measured.json"
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return content


def measured_of(method: str) -> Measured | None:
    """What a method of the catalogue gained and cost; None where it was not in the study.

    >>> measured_of("kd").mean > 0, measured_of("a method of mine")
    (True, None)
    """
    found = _content()["methods"].get(method)
    return None if found is None else Measured(**found)


def measured_on() -> str:
    """What was trained in that study: data, networks, budget and the result file."""
    content = _content()
    return f"{content['about']} ({content['file']})"
