"""What the interval of a verdict covers, and what the rows of the test set add to it."""

import torch

from stillhouse.records.answers import Answers
from stillhouse.records.figures import TableFigures
from stillhouse.records.metric import Metric
from stillhouse.records.verdict import Verdict, WithRows
from stillhouse.verdict.rows import mcnemar, two_way


def covered(
    verdict: Verdict,
    answers: Answers,
    metric: Metric,
    *,
    teachers: int,
    figures: TableFigures | None = None,
) -> Verdict:
    """The verdict with what its interval covers, and with the rows of the test set beside it.

    Args:
        verdict: over seeds.
        answers: of each test row.
        metric: that is compared. One that is no mean over rows has no rows to resample.
        teachers: how many the students had; 0 where there was none.
        figures: of the test set, whose gains have intervals over what it shows (people).
    """
    if verdict.gain is None:
        return verdict
    found = with_rows(answers, metric)
    rows = f"these {found.rows:,} test rows" if found else "these test rows"
    taught = {0: "", 1: ", with one teacher"}.get(teachers, f", with {teachers} teachers")
    if found is None:
        covers = _over_what_is_shown(verdict, metric, rows + taught, figures)
    elif found.low is None or found.high is None:
        covers = (
            f"McNemar's exact test on {rows}{taught}: {found.gained:,} that only the student gets "
            f"right, {found.lost:,} that only the control does, p = {found.p:.2g}. It speaks of "
            "these two networks, not of other seeds."
            if found.p is not None
            else f"One seed, on {rows}{taught}: nothing says what another seed would give."
        )
    else:
        ends = metric.span(found.low, found.high, minus="-")
        errors = [metric.scale * (each or 0.0) for each in (found.over_seeds, found.over_rows)]
        covers = (
            f"The interval covers other seeds, on {rows}{taught}. For other seeds and other rows "
            f"it is {ends} (standard error {errors[0]:.2f} by seeds, {errors[1]:.2f} by "
            "rows; both resampled together)."
        )
    return verdict.model_copy(update={"covers": covers, "with_rows": found})


def _over_what_is_shown(
    verdict: Verdict, metric: Metric, rows: str, figures: TableFigures | None
) -> str:
    """What other seeds and, apart from that, other people would give."""
    seeds = f"The interval covers other seeds, on {rows}."
    if verdict.low is None:
        seeds = f"One seed, on {rows}: nothing says what another seed would give."
    gain = None if figures is None else figures.gain(metric)
    if figures is None or gain is None or gain.low is None:
        return seeds
    ends = metric.span(gain.low, gain.high, minus="-")
    return (
        f"{seeds} For other {figures.over}, with these networks, it is {ends} (bootstrap over "
        f"{figures.count:,} {figures.over}, the same for both)."
    )


def with_rows(answers: Answers, metric: Metric) -> WithRows | None:
    """Seeds and rows resampled together; None where the metric is no mean over rows."""
    mine, theirs = (answers.seeds(role, metric.name) for role in ("student", "control"))
    seeds = [seed for seed in mine if seed in theirs]
    if not seeds or any(known[seed].ndim != 1 for known in (mine, theirs) for seed in seeds):
        return None
    first, second = (
        torch.stack([known[seed] for seed in seeds]).double().numpy() for known in (mine, theirs)
    )
    if not metric.higher_is_better:
        first, second = second, first
    found = two_way(first, second, step=1 / first.shape[1] if metric.share else None)
    pair = mcnemar(first[0], second[0]) if metric.share and len(seeds) == 1 else None
    return WithRows(
        rows=found.rows,
        low=found.low,
        high=found.high,
        over_seeds=found.over_seeds,
        over_rows=found.over_rows,
        gained=pair.gained if pair else None,
        lost=pair.lost if pair else None,
        p=pair.p if pair else None,
    )
