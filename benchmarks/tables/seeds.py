"""How many seeds a gain of so many points needs, at the spreads that studies had."""

import statistics
from collections.abc import Sequence

from marks import Results, table
from stillhouse.studies.comparisons import differences, last_by_seed
from stillhouse.verdict.judgement import LEAST
from stillhouse.verdict.power import smallest_gain
from tables.restored import restored

GAINS = (0.5, 1.0, 2.0)
MOST = 200
TITLES = ["study", "control, %", "arms", "standard deviation of a gain, points"]


def seeds(results: Results, _: Sequence[str]) -> str:
    """Of each study with a control the spread of paired gains, and the seeds for three gains.

    Args:
        results: of studies.
    """
    rows = []
    for name, found in results.items():
        record = restored(found)
        runs = [
            (last_by_seed(arm.runs), last_by_seed(arm.controls))
            for arm in record.arms
            if arm.controls
        ]
        gains = [differences(mine, theirs, record.metric) for mine, theirs in runs]
        variances = [statistics.variance(each) for each in gains if len(each) > 1]
        spread = 100 * statistics.fmean(variances) ** 0.5
        control = 100 * statistics.fmean(value for _, theirs in runs for value in theirs.values())
        title = f"{record.title} (`{name}`)"
        needed = [str(seeds_for(gain / spread)) for gain in GAINS]
        rows.append([title, f"{control:.1f}", str(len(variances)), f"{spread:.2f}", *needed])
    return table([*TITLES, *(f"seeds for {gain:g}" for gain in GAINS)], rows)


def seeds_for(deviations: float) -> int | str:
    """The fewest seeds by which one claim of such a gain is found 8 times in 10.

    >>> seeds_for(3.3), seeds_for(1.0), seeds_for(0.01)
    (3, 10, 'over 200')
    """
    for count in range(LEAST, MOST + 1):
        found = smallest_gain(count)
        if found is not None and found <= deviations:
            return count
    return f"over {MOST}"
