"""How often a verdict errs, and how often it finds a gain that is there: a simulation.

    python benchmarks/verdict.py           # benchmarks/results/verdict.json and docs/statistics.md

Each study has arms and one control under the same seeds; the paired differences of an arm are
normal with a variance of its own, and correlated with those of the others by the control. One arm
has a gain of four standard deviations, the others none. A study errs if any of the others is said
to help or to hurt (family-wise error); power is the share of studies in which the gain is found.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from marks import Results, rewritten
from result_files import ROOT, keep
from stillhouse.verdict.moderated import alone, prior, two_sided
from verdict_rivals import limma, limma_at_most_4, mean_at_most, pooled

PAGE = ROOT / "docs" / "statistics.md"
GAIN, LEVEL = 4.0, 0.05
SEEDS, ARMS = (2, 3, 5), (2, 3, 6, 14, 60)

Draws = np.ndarray[Any, np.dtype[np.float64]]
Test = Callable[[Draws, Draws, int], Draws]

# The deviation of the logarithm of an arm's variance (its standard deviation has half of it), and
# the correlation of differences: one number, or the range in which that of each arm lies.
SETTINGS: Mapping[str, tuple[float, float | tuple[float, float]]] = {
    "equal": (0.0, 0.5),
    "spread e^0.5": (0.5, 0.5),
    "spread e^0.8": (0.8, 0.5),
    "spread e^0.8, correlations 0.1 to 0.9": (0.8, (0.1, 0.9)),
    "spread e^0.8, correlation 0.8": (0.8, 0.8),
    "spread e^1.6": (1.6, 0.5),
    "spread e^0.5, one arm 10 times as noisy": (0.5, 0.5),
    "spread e^0.5, one arm 30 times as noisy": (0.5, 0.5),
}
NOISE = {setting: 30.0 if "30" in setting else 10.0 for setting in SETTINGS if "noisy" in setting}
"""What the standard deviation of the last arm is multiplied by."""


def ours(mean: Draws, variance: Draws, seeds: int) -> Draws:
    """The test of the package."""
    return two_sided(mean, variance, seeds, prior(variance, seeds))


def by_itself(mean: Draws, variance: Draws, seeds: int) -> Draws:
    """Each arm by itself: the paired t-test."""
    return two_sided(mean, variance, seeds, alone(mean.shape[:-1]))


TESTS: Mapping[str, Test] = {
    "each arm by itself": by_itself,
    "pooled variance": pooled,
    "prior without a bound": limma,
    "prior, at most 4": limma_at_most_4,
    "prior of the mean, at most 2 (n - 1)": mean_at_most(2),
    "here": ours,
}


def differences(
    studies: int,
    arms: int,
    seeds: int,
    spread: float,
    correlation: float | tuple[float, float],
    seed: int,
    *,
    noise: float = 1.0,
) -> tuple[Draws, Draws]:
    """Mean and variance of each arm's paired differences; shape (studies, arms)."""
    draw = np.random.default_rng(seed)
    deviation = np.exp(spread / 2 * draw.standard_normal((studies, arms, 1)))
    deviation[:, -1] *= noise
    shared = draw.standard_normal((studies, 1, seeds))
    own = draw.standard_normal((studies, arms, seeds))
    if isinstance(correlation, tuple):
        rho = draw.uniform(*correlation, (studies, arms, 1))
    else:
        rho = np.full((1, 1, 1), correlation)
    found = deviation * (np.sqrt(rho) * shared + np.sqrt(1 - rho) * own)
    found[:, 0] += GAIN * deviation[:, 0]
    return found.mean(-1), found.var(-1, ddof=1)


def rejected(p: Draws) -> Draws:
    """Where Holm's correction over the arms of a study leaves p below the level."""
    order = np.argsort(p, -1)
    left = p.shape[-1] - np.arange(p.shape[-1])
    steps = np.maximum.accumulate(np.take_along_axis(p, order, -1) * left, -1)
    corrected = np.empty_like(steps)
    np.put_along_axis(corrected, order, steps, -1)
    return corrected < LEVEL


def simulate(studies: int) -> list[dict[str, Any]]:
    found = []
    for seeds in SEEDS:
        for arms in ARMS:
            for setting, (spread, correlation) in SETTINGS.items():
                seed, noise = 100 * arms + seeds, NOISE.get(setting, 1.0)
                drawn = differences(studies, arms, seeds, spread, correlation, seed, noise=noise)
                for test, run in TESTS.items():
                    wrong = rejected(run(*drawn, seeds))
                    found.append(
                        {
                            "seeds": seeds,
                            "arms": arms,
                            "variances": setting,
                            "test": test,
                            "error": round(float(wrong[:, 1:].any(-1).mean()), 4),
                            "power": round(float(wrong[:, 0].mean()), 4),
                        }
                    )
            print(f"{seeds} seeds, {arms} arms", flush=True)
    return found


def tables(results: Sequence[Mapping[str, Any]]) -> str:
    """The tables of the page: at three seeds by test; the test of the package everywhere."""
    known = {(r["seeds"], r["arms"], r["variances"], r["test"]): r for r in results}
    three = [
        "| three seeds | arms | " + " | ".join(SETTINGS) + " |",
        "|---" * (2 + len(SETTINGS)) + "|",
    ]
    for test in TESTS:
        for arms in ARMS:
            if arms >= 6:
                cells = [_cell(known[3, arms, setting, test]) for setting in SETTINGS]
                three.append(f"| {test} | {arms} | {' | '.join(cells)} |")
    everywhere = [
        "| seeds | arms | " + " | ".join(SETTINGS) + " |",
        "|---" * (2 + len(SETTINGS)) + "|",
    ]
    for seeds in SEEDS:
        for arms in ARMS:
            cells = [_cell(known[seeds, arms, setting, "here"]) for setting in SETTINGS]
            everywhere.append(f"| {seeds} | {arms} | {' | '.join(cells)} |")
    return "\n".join([*three, "", "The test of this package, everywhere:", "", *everywhere])


def _cell(result: Mapping[str, Any]) -> str:
    error = f"{result['error']:.3f}"
    said = f"**{error}**" if result["error"] > 0.06 else error
    return f"{said} / {result['power']:.2f}"


def simulation(results: Results, _: Sequence[str]) -> str:
    """The tables of a result file, for the mark of a page."""
    (found,) = results.values()
    return tables(found["results"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=2000, help="of each kind (default 2000)")
    results = simulate(parser.parse_args().studies)
    keep(
        "verdict",
        "family-wise error and power of tests of a gain, by seeds, arms and variances",
        gain=GAIN,
        level=LEVEL,
        results=results,
    )
    PAGE.write_text(rewritten(PAGE.read_text("utf-8"), {"simulation": simulation}), "utf-8")


if __name__ == "__main__":
    main()
