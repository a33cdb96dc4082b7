"""The table of a study, best arm first, with its controls in their place."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from stillhouse.cli.table import STYLES, percent

Entry = Mapping[str, Any]


def gain_text(gain: Entry | None) -> str:
    """Mean gain in points with its interval.

    >>> gain_text({"mean": 0.0123, "low": 0.004, "high": 0.0206}), gain_text(None)
    ('+1.23 (+0.40 to +2.06)', '-')
    """
    if gain is None:
        return "-"
    mean = f"{100 * gain['mean']:+.2f}"
    if gain["low"] is None:
        return mean
    return f"{mean} ({100 * gain['low']:+.2f} to {100 * gain['high']:+.2f})"


def _word(gain: Entry | None) -> str:
    if gain is None:
        return "no control"
    style = STYLES.get(gain["word"])
    return f"[{style}]{gain['word']}[/]" if style else str(gain["word"])


def _last(runs: Sequence[Entry]) -> list[float]:
    return [run["test"]["last"] for run in runs]


def _seconds(runs: Sequence[Entry]) -> str:
    return f"{sum(run['seconds'] for run in runs) / len(runs):.1f}"


def distinct_controls(arms: Sequence[Entry]) -> list[tuple[str, Sequence[Entry]]]:
    """The controls of a study, each once, with the model and budget they stand for."""
    found: dict[tuple[Any, ...], tuple[str, Sequence[Entry]]] = {}
    for arm in arms:
        runs = arm["controls"]
        key = (arm["student_model"], *((run["seed"], *run["test"].values()) for run in runs))
        if runs:
            about = f"{arm['student_model']}, {arm['epochs']} epochs"
            found.setdefault(key, (about, runs))
    return list(found.values())


def study_score_table(table: Entry) -> Table:
    """Arms and controls by mean test accuracy; in percent, gains in points."""
    from rich.markup import escape

    made = Table(box=None, pad_edge=False, header_style="bold")
    made.add_column("arm", overflow="fold")
    for title in ("test last", "over its control", "after correction"):
        made.add_column(title, no_wrap=True)
    against = table["against"]
    if against is not None:
        made.add_column(f"over {escape(against)}", no_wrap=True)
    made.add_column("s/run", justify="right", no_wrap=True)
    rows = [(_last(runs), _control_row(about, runs, table)) for about, runs in _controls(table)]
    rows += [(_last(arm["runs"]), _arm_rows(arm, table)) for arm in table["arms"] if arm["runs"]]
    for _, lines in sorted(rows, key=lambda row: -sum(row[0]) / len(row[0])):
        for line in lines:
            made.add_row(*line)
    for arm in table["arms"]:
        if not arm["runs"]:
            made.add_row(escape(arm["name"]), f"[red]{arm['state']}[/]")
    return made


def _controls(table: Entry) -> list[tuple[str, Sequence[Entry]]]:
    return distinct_controls(table["arms"])


def _control_row(about: str, runs: Sequence[Entry], table: Entry) -> list[list[str]]:
    blank = [""] * (2 + (table["against"] is not None))
    return [[f"[dim]control ({about})[/]", percent(_last(runs)), *blank, _seconds(runs)]]


def _arm_rows(arm: Entry, table: Entry) -> list[list[str]]:
    from rich.markup import escape

    row = [escape(arm["name"]), percent(_last(arm["runs"]))]
    row += [gain_text(arm["gain"]), _word(arm["gain"])]
    if table["against"] is not None:
        gain = arm["over_against"]
        style = STYLES.get(gain["word"]) if gain else None
        said = gain_text(gain)
        row.append(f"[{style}]{said}[/]" if style else said)
    rows = [[*row, _seconds(arm["runs"])]]
    for head in arm["runs"][0].get("heads", {}):
        values = [run["heads"][head]["last"] for run in arm["runs"]]
        rows.append([f"  by {escape(head)}", percent(values)])
    return rows


def print_study(console: Console, table: Entry, directory: object) -> None:
    """Table, what the words mean, where the files are."""
    if not console.is_terminal:
        console.width = max(console.width, 160)  # a log has no edge to fold at
    console.print("")
    console.print(table["title"], style="bold", markup=False)
    console.print(study_score_table(table))
    console.print("")
    compared = sum(1 for arm in table["arms"] if arm["gain"] and arm["gain"]["p"] is not None)
    if compared:
        console.print(
            "Mean over seeds in percent; in brackets 95 % intervals of one comparison alone. "
            f"'helps' and 'hurts': beyond chance after correcting for {compared} comparisons "
            "(paired t-test, Holm, 5 %)."
        )
    else:
        console.print("Mean over seeds in percent; one seed gives no interval (use at least 3).")
    if not table["finished"]:
        console.print("Not finished: arms are waiting.", style="bold")
    console.print(f"study: {directory}", markup=False)
