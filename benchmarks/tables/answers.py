"""The table of what each network of a study costs when it answers."""

from collections.abc import Sequence

from marks import Results, table
from stillhouse.report.wording import count

TITLES = ("network", "parameters", "MACs", "bytes", "ms at 1", "ms at 64")
BATCHES = ("1", "64")


def answers(results: Results, _: Sequence[str]) -> str:
    """Each network once, the largest first; times of the arm that has it first."""
    rows: dict[str, tuple[int, list[str]]] = {}
    for found in results.values():
        for arm in found["study"]["arms"]:
            for network in arm.get("costs", {}).get("networks", []):
                name = f"{network['name']}, {arm[network['name'] + '_model']}"
                numbers = [count(network[key]) for key in ("parameters", "macs", "file_bytes")]
                times = [f"{network['milliseconds'][batch]:.2f}" for batch in BATCHES]
                rows.setdefault(name, (network["parameters"], [name, *numbers, *times]))
    ordered = sorted(rows.values(), key=lambda row: -row[0])
    return table(TITLES, [row for _, row in ordered])
