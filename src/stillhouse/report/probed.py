"""Rows of the probe: what each network's embedding is worth on a labelled set, over its seeds."""

from collections.abc import Sequence
from dataclasses import dataclass

from stillhouse.records.metric import ACCURACY, NOTHING
from stillhouse.records.probe import ProbeRecord
from stillhouse.report.wording import interval
from stillhouse.verdict.spread import spread


@dataclass(frozen=True)
class ProbeRow:
    """One network: accuracies over its seeds, in percent."""

    name: str
    neighbours: str
    linear: str
    own: str


def probe_rows(probe: ProbeRecord | None) -> tuple[ProbeRow, ...]:
    """A row for each role, in the order in which they were probed; none without a probe."""
    if probe is None:
        return ()
    roles = dict.fromkeys(one.role for one in probe.scores)
    return tuple(_row(role, probe) for role in roles)


def _row(role: str, probe: ProbeRecord) -> ProbeRow:
    mine = [one for one in probe.scores if one.role == role]
    own = [one.own for one in mine if one.own is not None]
    return ProbeRow(
        role,
        _over_seeds([one.neighbours for one in mine]),
        _over_seeds([one.linear for one in mine]),
        _over_seeds(own) if own else NOTHING,
    )


def _over_seeds(values: Sequence[float]) -> str:
    found = spread(values)
    return NOTHING if found is None else interval(found, ACCURACY)
