"""Compare settings of a study, each at its best weight, which validation data choose.

python benchmarks/at_best_weight.py NAME method.projector=linear method.normalise=batch
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stillhouse.verdict.judgement import judged
from stillhouse.verdict.paired import paired
from stillhouse.verdict.spread import spread

RESULTS = Path(__file__).parent / "results"
WEIGHT = "method.weight"


def groups(arms: Sequence[Mapping[str, Any]], wanted: Mapping[str, str]) -> dict[str, list[Any]]:
    """Arms that differ by nothing but the weight, by what they have in common."""
    found: dict[str, list[Any]] = defaultdict(list)
    for arm in arms:
        settings = dict(arm["settings"])
        settings.pop(WEIGHT, None)
        fits = all(str(settings.pop(key, None)) == value for key, value in wanted.items())
        if fits and arm["state"] == "finished":
            found[", ".join(f"{key.split('.')[-1]} {v}" for key, v in settings.items())].append(arm)
    return found


def mean(values: Sequence[float]) -> float:
    """Plain mean."""
    return sum(values) / len(values)


def percent(values: Sequence[float]) -> str:
    """Mean and half-width of its 95 % interval."""
    found = spread(values)
    half = "" if found is None or found.half is None else f" ± {100 * found.half:.2f}"
    return f"{100 * mean(values):.2f}{half}"


def main() -> None:
    """Print a markdown table, best first, with the paired difference to the best of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("result", help="name of a result file of a study")
    parser.add_argument("settings", nargs="*", help="KEY=VALUE that all compared arms have")
    arguments = parser.parse_args()
    study = json.loads((RESULTS / f"{arguments.result}.json").read_text(encoding="utf-8"))["study"]
    wanted = dict(setting.split("=", 1) for setting in arguments.settings)
    chosen = []
    for name, arms in groups(study["arms"], wanted).items():
        best = max(arms, key=lambda arm: mean(arm["runs"]["validation"]))
        tried = sorted(arm["settings"][WEIGHT] for arm in arms)
        chosen.append((name, tried, best))
    chosen.sort(key=lambda one: mean(one[2]["runs"]["last"]), reverse=True)
    first = chosen[0][2]["runs"]["last"]
    print("| | weights tried | chosen | validation, % | test, % | less than the first, points |")
    print("|---|---|---|---|---|---|")
    for name, tried, arm in chosen:
        runs = arm["runs"]
        (found,) = judged([paired([a - b for a, b in zip(first, runs["last"], strict=True)])])
        less = "" if runs["last"] is first or found is None else said(found)
        print(
            f"| {name} | {', '.join(map(str, tried))} | {arm['settings'][WEIGHT]} "
            f"| {percent(runs['validation'])} | {percent(runs['last'])} | {less} |"
        )


def said(found: Any) -> str:
    """A paired difference with its interval, in points."""
    return f"{100 * found.mean:.2f} ({100 * found.low:+.2f} to {100 * found.high:+.2f})"


if __name__ == "__main__":
    main()
