"""Numbers in the prose of a page, and whether its result files explain them.

A number with digits behind the point, or above a thousand, is explained where a table of its page
shows it, rounded as the prose has it, or where a result file that the page names has it as a score
of a teacher, a control or a student, as a reading of them, or as a setting. What comes from
elsewhere, such as a paper, is named in a comment of the page:
`<!-- from elsewhere: 98.77 and 99.34, the paper -->`.

Whether a number stands for what the sentence says, nobody but a reader can tell.
"""

import re
import statistics
from collections.abc import Iterator
from typing import Any

from marks import MARKED, RESULTS, result, without_tables

NUMBER = re.compile(r"(?<![\w.,/-])[+\u2212-]?(\d+\.\d+|\d{1,3}(?:,\d{3})+)(?![\w.]*\w)")
"""With digits behind the point, or with its thousands apart."""
NAMED = re.compile(r"[\w-]+\.json")
ELSEWHERE = re.compile(r"<!-- from elsewhere: (.*?) -->", re.DOTALL)
CODE = re.compile(r"`[^`]*`|\]\([^)]*\)")


def unexplained(page: str) -> list[tuple[str, str]]:
    """Numbers of the prose that no table and no result file of the page has, with their line."""
    known = set(_known(page))
    told = {number for comment in ELSEWHERE.findall(page) for number in NUMBER.findall(comment)}
    prose = ELSEWHERE.sub("", without_tables(page))
    found = []
    for line in prose.splitlines():
        for number in NUMBER.findall(CODE.sub("", line)):
            digits = len(number.partition(".")[2])
            size = float(number.replace(",", ""))
            same = any(abs(value - size) < 0.5001 * 10**-digits for value in known)
            if number not in told and not same:
                found.append((number, line.strip()))
    return found


def unused(page: str) -> list[str]:
    """Numbers said to be from elsewhere that the prose does not have."""
    numbers = set(NUMBER.findall(CODE.sub("", ELSEWHERE.sub("", without_tables(page)))))
    comments = ELSEWHERE.findall(page)
    return [n for comment in comments for n in NUMBER.findall(comment) if n not in numbers]


def _known(page: str) -> Iterator[float]:
    """Sizes of all numbers of the tables, and of what the named result files hold."""
    for found in MARKED.finditer(page):
        for number in re.findall(r"\d+(?:\.\d+)?", found["table"].replace(",", "")):
            yield float(number)
    for name in sorted(set(NAMED.findall(page))):
        if not (RESULTS / name).is_file():  # of a run, such as scores.json
            continue
        held = result(name)
        for study in (held.get("study"), *held.values()):
            for arm in study.get("arms", []) if isinstance(study, dict) else []:
                if isinstance(arm, dict):
                    yield from _of_arm(arm)
        for model in (held.get("scores") or {}).get("models", []):
            yield from _percent([run["test"]["last"] for run in model["runs"]])
        yield from _numbers(held.get("recipe"))
        yield from _numbers((held.get("study") or held.get("scores") or {}).get("data"))
        if not {"study", "scores"} & set(held):
            yield from _numbers(held)
            yield from (100 * share for share in _numbers(held))


def _of_arm(arm: dict[str, Any]) -> Iterator[float]:
    """What its networks cost, its transfer set, and mean scores and readings by role."""
    yield from _numbers([arm.get("costs"), arm.get("transfer")])
    for role in ("runs", "controls", "teacher"):
        columns = arm.get(role) or {}
        for key in ("last", "validation"):
            yield from _percent(columns.get(key, []))
        for values in columns.get("diagnostics", {}).values():
            if all(isinstance(value, float) for value in values):
                yield abs(statistics.fmean(values))


def _percent(values: list[float | None]) -> Iterator[float]:
    known = [value for value in values if value is not None]
    if known:
        yield 100 * statistics.fmean(known)


def _numbers(value: Any) -> Iterator[float]:
    """All numbers of nested settings."""
    if isinstance(value, dict):
        for each in value.values():
            yield from _numbers(each)
    elif isinstance(value, list):
        for each in value:
            yield from _numbers(each)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield abs(float(value))
