"""Tables of what a task measures of a whole table, and of what networks cost."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from marks import Results, table
from stillhouse.records.figures import Estimate, FigureGain, TableFigures

TEST = "test"


def figures(results: Results, _: Sequence[str]) -> str:
    """Every figure of teacher, control and the student of each arm, mean over seeds.

    Each with its interval for other people. Of networks that several arms share the first arm's.
    """
    (found,) = results.values()
    arms = list(_figures(found["study"]))
    about, rows = arms[0][1], []
    for role in ("teacher", "control"):
        rows += [_row(f"*{role}*", about, each.figures) for each in about.networks
                 if each.role == role]  # fmt: skip
    for name, each in arms:
        rows += [_row(name, about, one.figures) for one in each.networks if one.role == "student"]
    said = "\n".join(f"- {note}" for note in dict.fromkeys(n for _, f in arms for n in f.notes))
    titles = ["network", *(f"{metric.name}, {metric.unit}" for metric in about.metrics)]
    return "\n\n".join(part for part in (table(titles, rows), said) if part)


def gains(results: Results, _: Sequence[str]) -> str:
    """What the student of each arm gains over the control by each figure, positive is better.

    In brackets first for other people with these networks, then for other seeds with these people.
    """
    (found,) = results.values()
    arms = list(_figures(found["study"]))
    metrics = [metric for metric in arms[0][1].metrics if metric.name in arms[0][1].gains]
    rows = [
        [name, *(_gain(each.gains[metric.name], metric.scale) for metric in metrics)]
        for name, each in arms
    ]
    return table(["gain over the control, points", *(metric.name for metric in metrics)], rows)


def costs(results: Results, _: Sequence[str]) -> str:
    """Parameters, multiplications and time of an image of teacher and student, alone and in 64."""
    (found,) = results.values()
    told = next(arm["costs"] for arm in found["study"]["arms"] if arm.get("costs"))
    batches = list(told["networks"][0]["milliseconds"])
    titles = ["network", "parameters", "multiply-adds of an image, million",
              *(f"ms, batch of {batch}" for batch in batches)]  # fmt: skip
    rows = [
        [
            each["name"],
            f"{each['parameters']:,}",
            f"{each['macs'] / 1e6:.1f}",
            *(f"{each['milliseconds'][batch]:.2f}" for batch in batches),
        ]
        for each in told["networks"]
    ]
    where = ", ".join(f"{key} {value}" for key, value in told["conditions"].items())
    return f"{table(titles, rows)}\n\nTimes: {where}."


def _figures(study: Mapping[str, Any]) -> Iterator[tuple[str, TableFigures]]:
    """The figures of the test table of each arm that has any, by its name."""
    for arm in study["arms"]:
        for each in arm.get("figures", []):
            if each["table"] == TEST:
                yield arm["name"], TableFigures.model_validate(each)


def _row(name: str, about: TableFigures, known: Mapping[str, Estimate]) -> list[str]:
    return [name, *(_cell(known.get(metric.name), metric.scale) for metric in about.metrics)]


def _cell(found: Estimate | None, scale: float) -> str:
    if found is None:
        return ""
    value = f"{found.value * scale:.2f}"
    if found.low is None or found.high is None:
        return value
    return f"{value} ({found.low * scale:.1f} to {found.high * scale:.1f})"


def _gain(found: FigureGain, scale: float) -> str:
    ranges = [(found.low, found.high), (found.seeds_low, found.seeds_high)]
    said = "; ".join(
        f"{low * scale:+.1f} to {high * scale:+.1f}"
        for low, high in ranges
        if low is not None and high is not None
    )
    value = f"{found.value * scale:+.2f}"
    return (f"{value} ({said})" if said else value).replace("-", "\N{MINUS SIGN}")
