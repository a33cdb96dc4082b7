"""The table and the verdict at the end of a run."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from stillhouse.diagnostics.significance import spread

if TYPE_CHECKING:
    from stillhouse.runs.run import Outcome

STYLES = {"helps": "bold green", "hurts": "bold red"}


def percent(values: Sequence[float | None]) -> str:
    """Mean in percent, with the half-width of its 95 % interval over seeds.

    >>> percent([0.5]), percent([0.5, 0.6, 0.7])
    ('50.00', '60.00 ± 24.84')
    """
    found = spread(values)
    if found is None:
        return "-"
    half = "" if found.half is None else f" ± {100 * found.half:.2f}"
    return f"{100 * found.mean:.2f}{half}"


def _seconds(runs: Sequence[Mapping[str, Any]]) -> str:
    mean = sum(run["seconds"] for run in runs) / len(runs)
    if runs[0].get("given"):
        return "given"
    return f"{mean:.1f}" + (" (reused)" if all(run["reused"] for run in runs) else "")


def score_table(scores: Mapping[str, Any]) -> Table:
    """Teacher, control and student: accuracies in percent over seeds, size, seconds per run."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("", "model", "val last", "val best", "test last", "test best"):
        table.add_column(title, no_wrap=True)
    for title in ("parameters", "MB", "s/run"):
        table.add_column(title, justify="right", no_wrap=True)
    for model in scores["models"]:
        runs = model["runs"]
        cells = [
            percent([run[split][which] for run in runs])
            for split in ("validation", "test")
            for which in ("last", "best")
        ]
        size = (f"{model['parameters']:,}", f"{model['bytes'] / 1e6:.2f}", _seconds(runs))
        table.add_row(model["role"], model["model"], *cells, *size)
        for head in runs[0].get("heads", {}):
            cells = [
                percent([run[split][head][which] for run in runs]) if split in runs[0] else ""
                for split in ("heads_validation", "heads")
                for which in ("last", "best")
            ]
            held = model.get("heads_bytes", {}).get(head)
            table.add_row("", f"  by {head}", *cells, "", held and f"{held / 1e6:.2f}", "")
    return table


def print_outcome(console: Console, outcome: "Outcome") -> None:
    """Table, verdict, where the files are."""
    if not console.is_terminal:
        console.width = max(console.width, 130)  # a log has no edge to fold at
    verdict = outcome.scores["verdict"]
    console.print("")
    console.print(score_table(outcome.scores))
    console.print("")
    console.print(verdict["sentence"], style=STYLES.get(verdict["word"], "bold"), markup=False)
    console.print(f"student: {outcome.directory / 'student.safetensors'}", markup=False)
    console.print(f"report:  {outcome.report}", markup=False)
