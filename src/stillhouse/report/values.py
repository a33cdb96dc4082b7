"""JSON values of uncertain kind become typed ones; what does not fit becomes nothing.

A run that was cut short leaves keys out and writes null for what is not finite. The report is
for people, so it shows the gap instead of failing on it.
"""

import json
import math
from collections.abc import Sequence

from stillhouse.report.record import Reading


def number(value: object) -> float | None:
    """Return a finite float, or None.

    >>> number(3), number(float("nan")), number("3"), number(True)
    (3.0, None, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        result = float(value)
    except OverflowError:
        return None
    return result if math.isfinite(result) else None


def whole(value: object) -> int | None:
    """Return an int, or None; 3.0 is one, 3.5 is not.

    >>> whole(3.0), whole(3.5)
    (3, None)
    """
    exact = number(value)
    return int(exact) if exact is not None and exact == int(exact) else None


def text(value: object) -> str:
    """Return text as it is, nothing for null, and compact JSON for the rest.

    >>> text("kd"), text(None), text([1, 8, 8]), text(4.0)
    ('kd', '', '[1, 8, 8]', '4.0')
    """
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def table(value: object) -> dict[str, object]:
    """Return a mapping; anything else is an empty one."""
    return value if isinstance(value, dict) else {}


def rows(value: object) -> Sequence[object]:
    """Return a list; anything else is an empty one."""
    return value if isinstance(value, list) else ()


def numbers(value: object) -> dict[str, float]:
    """Keep the finite numbers of a mapping.

    >>> numbers({"label": 0.4, "kd": None})
    {'label': 0.4}
    """
    found = {key: number(item) for key, item in table(value).items()}
    return {key: item for key, item in found.items() if item is not None}


def readings(value: object) -> dict[str, Reading]:
    """Keep the numbers of a mapping, and its lists with None for what is no finite number.

    >>> readings({"rank": 3.0, "sigma": [2.0, None], "lost": None})
    {'rank': 3.0, 'sigma': (2.0, None)}
    """
    found: dict[str, Reading] = dict(numbers(value))
    for key, item in table(value).items():
        if isinstance(item, list):
            found[key] = tuple(number(one) for one in item)
    return found


def flat(value: object, prefix: str = "") -> tuple[tuple[str, str], ...]:
    """Flatten nested mappings to dotted names.

    >>> flat({"lr": 0.1, "crop": {"pad": 4}})
    (('lr', '0.1'), ('crop.pad', '4'))
    """
    pairs: list[tuple[str, str]] = []
    for key, item in table(value).items():
        if isinstance(item, dict) and item:
            pairs.extend(flat(item, f"{prefix}{key}."))
        else:
            pairs.append((f"{prefix}{key}", text(item)))
    return tuple(pairs)
