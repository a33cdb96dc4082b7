"""How numbers are said: shares, sizes, times, settings. None is said as a dash.

How the values of a metric are said, the metric itself knows: `stillhouse.records.schema`.
"""

import json
import re
from collections.abc import Mapping
from datetime import datetime

from stillhouse.records.metric import MINUS, NOTHING, Metric
from stillhouse.records.run import AVERAGE
from stillhouse.verdict.spread import Spread

TIMES = "\u00d7"
UNITS = ("kB", "MB", "GB", "TB")
THOUSANDS = ("", " k", " M", " G", " T")
MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)


def percent(value: float | None, digits: int = 2) -> str:
    """Say a fraction as percent.

    >>> percent(0.9771), percent(None)
    ('97.71%', '–')
    """
    return NOTHING if value is None else f"{100 * value:.{digits}f}%"


def interval(found: Spread | None, metric: Metric) -> str:
    """Say mean and half-width of a metric, without its unit.

    >>> from stillhouse.records.metric import ACCURACY
    >>> interval(Spread(0.975, 0.0042, 3), ACCURACY), interval(Spread(0.975, None, 1), ACCURACY)
    ('97.50 ± 0.42', '97.50')
    """
    mean = metric.shown(found.mean if found else None)
    return mean if found is None or found.half is None else f"{mean} ± {metric.shown(found.half)}"


def count(value: int | None) -> str:
    """Say a whole number with thousands apart.

    >>> count(272474)
    '272,474'
    """
    return NOTHING if value is None else f"{value:,}"


def size(value: float | None) -> str:
    """Say bytes in decimal units.

    >>> size(1104280), size(512)
    ('1.10 MB', '512 B')
    """
    if value is None:
        return NOTHING
    if value < 999.5:
        return f"{value:.0f} B"
    power = 0
    while value >= 999.5 and power < len(UNITS):
        value, power = value / 1000, power + 1
    digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:.{digits}f} {UNITS[power - 1]}"


def operations(value: float) -> str:
    """Say a number of operations in thousands, millions and so on.

    >>> operations(40_813_184), operations(900)
    ('40.8 M', '900')
    """
    power = 0
    while value >= 999.5 and power < len(THOUSANDS) - 1:
        value, power = value / 1000, power + 1
    return f"{value:.3g}{THOUSANDS[power]}"


def duration(value: float | None) -> str:
    """Say seconds as people do.

    >>> duration(8.44), duration(93.1), duration(7510)
    ('8.4 s', '1 min 33 s', '2 h 5 min')
    """
    if value is None:
        return NOTHING
    if value < 9.95:
        return f"{value:.1f} s"
    seconds = round(value)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    minutes = round(value / 60)
    return f"{minutes // 60} h {minutes % 60} min"


def milliseconds(value: float | None) -> str:
    """Say the time of an answer, in seconds from one second on.

    >>> milliseconds(1.0512), milliseconds(78.94), milliseconds(1764.0)
    ('1.05 ms', '78.9 ms', '1.76 s')
    """
    if value is None:
        return NOTHING
    return f"{value:.3g} ms" if value < 999.5 else f"{value / 1000:.3g} s"


def times(ratio: float) -> str:
    """Say a ratio as a factor.

    >>> times(6.312), times(41.7)
    ('6.3×', '42×')
    """
    return f"{ratio:.1f}{TIMES}" if ratio < 9.95 else f"{ratio:.0f}{TIMES}"


def typeset(sentence: str) -> str:
    """A sentence of a terminal with the minus of the report; hyphens stay.

    >>> typeset("tf-kd: -6.02 points (-10.71 to -1.32), float-16, 2026-11-26")
    'tf-kd: −6.02 points (−10.71 to −1.32), float-16, 2026-11-26'
    """
    return re.sub(r"(?<![\w-])-(?=\d)", MINUS, sentence)


def in_words(ratio: float) -> str:
    """Say a ratio within a sentence.

    >>> in_words(6.312), in_words(41.7)
    ('6.3 times', '42 times')
    """
    return times(ratio).replace(TIMES, " times")


def compared(ratio: float, less: str, more: str, same: str) -> str:
    """Say how a thing compares with one that is ``ratio`` times as much.

    >>> compared(6.3, "smaller", "larger", "same size")
    '6.3× smaller'
    >>> compared(0.5, "smaller", "larger", "same size")
    '2.0× larger'
    """
    if times(ratio) == times(1.0):
        return same
    return f"{times(ratio)} {less}" if ratio > 1 else f"{times(1 / ratio)} {more}"


def moment(value: str) -> str:
    """Say an ISO 8601 time; other text is left as it is.

    >>> moment("2026-11-21T06:00:00+00:00"), moment("yesterday")
    ('21 November 2026, 06:00 UTC', 'yesterday')
    """
    try:
        when = datetime.fromisoformat(value)
    except ValueError:
        return value
    zone = f" {when.tzname()}" if when.tzname() else ""
    return f"{when.day} {MONTHS[when.month - 1]} {when.year}, {when:%H:%M}{zone}"


def head_note(measure: str) -> str:
    """Say what a further measure of a student is.

    >>> head_note("peer 1"), head_note("mixture")
    ('learned beside it', 'another way of inference')
    """
    if measure == AVERAGE:
        return "its weights, averaged over the training"
    return "learned beside it" if measure.startswith("peer") else "another way of inference"


def text(value: object) -> str:
    """Say plain data: text as it is, nothing for null, compact JSON for the rest.

    >>> text("kd"), text(None), text([1, 8, 8]), text(4.0)
    ('kd', '', '[1, 8, 8]', '4.0')
    """
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def flat(value: Mapping[str, object], prefix: str = "") -> tuple[tuple[str, str], ...]:
    """Say nested settings by dotted names.

    >>> flat({"lr": 0.1, "crop": {"pad": 4}})
    (('lr', '0.1'), ('crop.pad', '4'))
    """
    pairs: list[tuple[str, str]] = []
    for key, item in value.items():
        if isinstance(item, Mapping) and item:
            pairs.extend(flat(item, f"{prefix}{key}."))
        else:
            pairs.append((f"{prefix}{key}", text(item)))
    return tuple(pairs)
