"""Compare settings of a study, each at its best weight, which validation data choose.

python benchmarks/at_best_weight.py NAME method.projector=linear method.normalise=batch
"""

import argparse
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from marks import result, table
from stillhouse.records.metric import ACCURACY
from stillhouse.report.study_rows import gain_words
from stillhouse.studies.comparisons import comparisons
from stillhouse.verdict.paired import paired
from stillhouse.verdict.spread import spread
from tables.arms import AGAINST

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


def at_best(study: Mapping[str, Any], wanted: Mapping[str, str]) -> str:
    """A table in Markdown, best first, with the paired differences to the first of it.

    The weight is chosen by mean validation accuracy; the differences are judged together.
    """
    chosen = []
    for name, arms in groups(study["arms"], wanted).items():
        best = max(arms, key=lambda arm: mean(arm["runs"]["validation"]))
        tried = sorted(arm["settings"][WEIGHT] for arm in arms)
        chosen.append((name, tried, best))
    chosen.sort(key=lambda one: mean(one[2]["runs"]["last"]), reverse=True)
    first, step = chosen[0][2]["runs"]["last"], 1 / study["data"]["test"]
    gains = [
        None if arm is chosen[0][2] else paired(_over(arm["runs"]["last"], first), step=step)
        for _, _, arm in chosen
    ]
    judgements = comparisons({name: each for (name, _, _), each in zip(chosen, gains, strict=True)})
    rows = []
    for name, tried, arm in chosen:
        said = gain_words(judgements[name], ACCURACY)
        weights = [", ".join(map(str, tried)), str(arm["settings"][WEIGHT])]
        scores = [percent(arm["runs"][part]) for part in ("validation", "last")]
        word = AGAINST.get(said.word, said.word)
        compared = [f"{said.mean} ({said.range})", f"{word}, {said.p}"] if said.range else ["", ""]
        rows.append([name, *weights, *scores, *compared])
    titles = [
        "",
        "weights tried",
        "chosen",
        "validation, %",
        "test, %",
        "over the first",
        "corrected",
    ]
    return table(titles, rows)


def _over(mine: Sequence[float], theirs: Sequence[float]) -> list[float]:
    return [a - b for a, b in zip(mine, theirs, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("result", help="name of a result file of a study")
    parser.add_argument("settings", nargs="*", help="KEY=VALUE that all compared arms have")
    arguments = parser.parse_args()
    study = result(f"{arguments.result}.json")["study"]
    print(at_best(study, dict(setting.split("=", 1) for setting in arguments.settings)))


if __name__ == "__main__":
    main()
