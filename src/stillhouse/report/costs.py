"""What a student that was made out of its teacher costs: costs.json -> rows of a table."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from stillhouse.report.values import number, numbers, rows, table, text, whole
from stillhouse.report.wording import NOTHING, count, percent, size

COSTS = "costs.json"
UNITS = ("", " k", " M", " G", " T")


@dataclass(frozen=True)
class NetworkCosts:
    """One network of the table; times in milliseconds, by batch size."""

    name: str = ""
    parameters: int | None = None
    macs: int | None = None
    file_bytes: int | None = None
    milliseconds: Mapping[str, float] = field(default_factory=dict)
    accuracy: float | None = None


@dataclass(frozen=True)
class Costs:
    """Teacher and student side by side, how the one was made of the other, and how it was timed.

    ``kept``: reason -> layers that stayed as they were.
    """

    model: str = ""
    networks: tuple[NetworkCosts, ...] = ()
    changed: int = 0
    kept: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    conditions: str = ""

    @property
    def batches(self) -> tuple[str, ...]:
        """Batch sizes that were timed, in order."""
        known = {batch: None for each in self.networks for batch in each.milliseconds}
        return tuple(known)

    @property
    def lines(self) -> tuple[tuple[str, ...], ...]:
        """The cells of the table."""
        return tuple(_cells(each, self.batches) for each in self.networks)


def read_costs(value: Mapping[str, object]) -> Costs | None:
    """Read costs.json; None when the run has none.

    >>> read_costs({}) is None
    True
    >>> read_costs({"networks": [{"name": "teacher", "parameters": 8, "macs": 6500}]}).lines
    (('teacher', '–', '8', '6.5 k', '–'),)
    """
    networks = tuple(_network(each) for each in rows(value.get("networks")))
    if not networks:
        return None
    kept: dict[str, tuple[str, ...]] = {}
    for each in map(table, rows(value.get("kept"))):
        why = text(each.get("why"))
        kept[why] = (*kept.get(why, ()), text(each.get("path")))
    told = table(value.get("conditions"))
    return Costs(
        model=text(value.get("model")),
        networks=networks,
        changed=len(rows(value.get("changes"))),
        kept=kept,
        conditions=", ".join(f"{key} {text(item)}" for key, item in told.items()),
    )


def _network(value: object) -> NetworkCosts:
    found = table(value)
    return NetworkCosts(
        name=text(found.get("name")),
        parameters=whole(found.get("parameters")),
        macs=whole(found.get("macs")),
        file_bytes=whole(found.get("file_bytes")),
        milliseconds=numbers(found.get("milliseconds")),
        accuracy=number(found.get("accuracy")),
    )


def _cells(network: NetworkCosts, batches: tuple[str, ...]) -> tuple[str, ...]:
    times = [network.milliseconds.get(batch) for batch in batches]
    return (
        network.name,
        percent(network.accuracy),
        count(network.parameters),
        operations(network.macs),
        size(network.file_bytes),
        *(NOTHING if spent is None else f"{spent:.3g} ms" for spent in times),
    )


def operations(value: float | None) -> str:
    """Say a number of operations in thousands, millions and so on.

    >>> operations(40_813_184), operations(900)
    ('40.8 M', '900')
    """
    if value is None:
        return NOTHING
    power = 0
    while value >= 999.5 and power < len(UNITS) - 1:
        value, power = value / 1000, power + 1
    return f"{value:.3g}{UNITS[power]}"
