"""Tables over runs: ``stillhouse ls runs`` and ``stillhouse compare RUN RUN``."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.table import Table
from rich.text import Text

from stillhouse.cli.table import STYLES, over_seeds
from stillhouse.cli.terminal import Terminal

if TYPE_CHECKING:
    from stillhouse.records.metric import Metric
    from stillhouse.records.run import Scores
    from stillhouse.records.study import Comparison
    from stillhouse.studies.beside import Beside
    from stillhouse.studies.listing import Listed

WARNED = {"damaged": "bold red", "unfinished": "yellow"}


def list_runs(directories: Sequence[Path], *, as_json: bool) -> None:
    """Print the runs and studies below some directories."""
    from stillhouse.studies.listing import listed

    found = listed(directories)
    if as_json:
        typer.echo(json.dumps([_plain(each) for each in found], indent=1, ensure_ascii=False))
        return
    console = Terminal()
    if not found:
        where = ", ".join(map(str, directories))
        console.print(f"no run and no study in {where}", markup=False, soft_wrap=True)
        return
    console.table(runs_table(found))


def runs_table(found: "Sequence[Listed]") -> Table:
    """A row for each run and study."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("run", "verdict"):
        table.add_column(title, overflow="fold")
    for title in ("test", "gain (95 %)", "size", "date"):
        table.add_column(title)
    for each in found:
        table.add_row(*_row(each))
    return table


def _plain(each: "Listed") -> dict[str, object]:
    metric = each.metric.plain() if each.metric else None
    return {**asdict(each), "directory": str(each.directory), "metric": metric}


def _row(each: "Listed") -> list[Text | str]:
    name = Text(str(each.directory), style="bold")
    name.append(f"\n{each.title or each.kind}", style="not bold")
    if each.said:
        name.append(f"\n{each.said.split('; ')[0]}", style=f"not bold {WARNED.get(each.state, '')}")
    word = each.word if each.state == "finished" else each.state
    metric = each.metric
    test = "" if metric is None or each.test is None else metric.with_unit(each.test)
    gain = "" if metric is None or each.gain is None else metric.moved(each.gain)
    if metric is not None and each.low is not None:
        gain += f" ({metric.span(each.low, each.high)})"
    size = "" if each.parameters is None else _size(each.parameters)
    style = STYLES.get(word, WARNED.get(word, ""))
    return [name, Text(word, style=style), test, gain, size, each.created[:10]]


def _size(parameters: int) -> str:
    """A number of parameters in four letters or so.

    >>> _size(1442), _size(11_200_000), _size(12)
    ('1.4k', '11.2M', '12')
    """
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if parameters >= unit:
            return f"{parameters / unit:.1f}{name}"
    return str(parameters)


def compare_runs(directories: Sequence[Path]) -> None:
    """Print finished runs side by side."""
    from stillhouse.studies.beside import beside

    found, console = beside(directories), Terminal()
    console.table(_figures(found))
    console.print("")
    if found.differing:
        table = _table(found, "settings that differ")
        for name, values in found.differing.items():
            table.add_row(name, *(Text("-" if each is None else str(each)) for each in values))
        console.table(table)
    else:
        console.print("All settings are the same.")
    console.print("")
    metric, first = found.scores[0].task.metric, found.directories[0]
    for place, difference, notes in zip(
        found.directories[1:], found.differences, found.notes, strict=True
    ):
        if difference is not None:
            said = f"{place} against {first}: {_difference(difference, metric)}"
            console.print(said, markup=False, style=STYLES.get(difference.word))
            console.print(f"  {'; '.join(notes)}", markup=False)
        else:
            console.print(f"{place} and {first} are {notes[0]}", markup=False, style="yellow")


def _table(found: "Beside", title: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(title, overflow="fold")
    for place in found.directories:
        table.add_column(Text(str(place)), overflow="fold")
    return table


def _figures(found: "Beside") -> Table:
    from stillhouse.studies.beside import network

    table = _table(found, "")
    roles = dict.fromkeys(model.role for scores in found.scores for model in scores.models)
    table.add_row("", *(Text(scores.title) for scores in found.scores))
    verdicts = [scores.verdict for scores in found.scores]
    table.add_row("verdict", *(each.word if each else "-" for each in verdicts))
    table.add_row("gain (95 %)", *map(_gain, found.scores))
    for role in roles:
        cells = []
        for scores in found.scores:
            model, metric = network(scores, role), scores.task.metric
            tests = [run.test.last for run in model.runs] if model else []
            named = f"{over_seeds(tests, metric)} {metric.unit}".rstrip()
            cells.append(f"{named}, {_size(model.parameters)}" if model else "-")
        table.add_row(f"{role}: test, size", *cells)
    table.add_row("seeds", *(_seeds(scores) for scores in found.scores))
    table.add_row("date", *(scores.created[:10] for scores in found.scores))
    return table


def _seeds(scores: "Scores") -> str:
    from stillhouse.studies.beside import STUDENT, network

    model = network(scores, STUDENT)
    return ", ".join(str(run.seed) for run in model.runs) if model else "-"


def _gain(scores: "Scores") -> str:
    verdict, metric = scores.verdict, scores.task.metric
    if verdict is None or verdict.gain is None:
        return "-"
    ends = metric.span(verdict.low, verdict.high)
    return metric.moved(verdict.gain) + (f" ({ends})" if verdict.low is not None else "")


def _difference(found: "Comparison", metric: "Metric") -> str:
    words = {"helps": "better", "hurts": "worse"}
    seeds = "1 seed" if found.seeds == 1 else f"{found.seeds} paired seeds"
    ends = "" if found.low is None else f"95 % interval {metric.span(found.low, found.high)}, "
    p = "" if found.p is None else f", p {found.p:.2g}"
    p += "" if found.p_holm is None else f", corrected {found.p_holm:.2g}"
    word = words.get(found.word, found.word)
    return f"{word}: test {metric.name} {metric.change(found.mean)} ({ends}{seeds}{p})"
