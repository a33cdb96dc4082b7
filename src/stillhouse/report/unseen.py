"""What the embeddings came to on classes that nobody saw, in a line a network."""

from collections.abc import Iterable, Mapping, Sequence

from stillhouse.records.metric import ACCURACY, Metric
from stillhouse.report.wording import interval
from stillhouse.verdict.spread import spread

SHOWN = Metric(name="share", unit=ACCURACY.unit, scale=ACCURACY.scale)


def unseen_lines(
    roles: Iterable[tuple[str, Sequence[Mapping[str, float | None]]]],
) -> tuple[tuple[str, str], ...]:
    """Role and figures: means over seeds with half-widths; nothing where nothing was held out.

    >>> unseen_lines([("student", [{"EER": 0.1, "AUC": 0.95}]), ("control", [{}])])
    (('student', 'EER 10.00%, AUC 95.00%'),)
    """
    found = []
    for role, runs in roles:
        known = [run for run in runs if run]
        names = list(dict.fromkeys(name for run in known for name in run))
        said = (f"{name} {_mean([run.get(name) for run in known])}" for name in names)
        if known:
            found.append((role, ", ".join(said)))
    return tuple(found)


def _mean(values: Sequence[float | None]) -> str:
    return f"{interval(spread(values), SHOWN)}{SHOWN.unit}"
