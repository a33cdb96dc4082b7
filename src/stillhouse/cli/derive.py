"""``stillhouse derive``: a student made out of a teacher, and what both cost."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stillhouse.cli.options import (
    AllowImports,
    NumberOfClasses,
    SeedOfDraws,
    WeightsKey,
    WeightsPrefix,
    among,
    image_shape,
)

if TYPE_CHECKING:
    from rich.table import Table

    from stillhouse.runs.derive import Pair
    from stillhouse.students import Measures

SHOWN = 6
"""Reasons for layers that stay, of which no more are listed."""


def derive(
    teacher: Annotated[
        str, typer.Argument(help="A network ('stillhouse ls models').", metavar="TEACHER")
    ],
    by: Annotated[
        str,
        typer.Option(
            help="Way: low_rank, depthwise, prune, shared or thinner.",
            autocompletion=among("low_rank", "depthwise", "prune", "shared", "thinner"),
        ),
    ],
    ratio: Annotated[
        float | None,
        typer.Option(
            help="Share to keep, from 0 to 1: of the weights of each layer (low_rank), of the "
            "channels (prune), or of all parameters (thinner)."
        ),
    ] = None,
    energy: Annotated[
        float | None,
        typer.Option(help="low_rank: share of the squared singular values to keep, from 0 to 1."),
    ] = None,
    rank: Annotated[int | None, typer.Option(help="low_rank: rank of each layer.")] = None,
    bits: Annotated[
        int | None,
        typer.Option(help="shared: bits of a weight, 1 to 8; a layer has 2^bits different values."),
    ] = None,
    scheme: Annotated[
        str | None, typer.Option(help="low_rank: how convolutions are split, channel or spatial.")
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            help="Start from the weights of the teacher, or from scratch: teacher or scratch."
        ),
    ] = None,
    keep: Annotated[
        list[str] | None, typer.Option(help="Name of a layer to leave as it is; repeatable.")
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="File of the teacher's weights.")] = None,
    weights_key: WeightsKey = None,
    weights_prefix: WeightsPrefix = None,
    classes: NumberOfClasses = 10,
    image: Annotated[
        str, typer.Option(help="Shape of its input: CHANNELS,HEIGHT,WIDTH in pixels.")
    ] = "3,32,32",
    seed: SeedOfDraws = 0,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            help="Directory for the student and its measures (default: none is written).",
        ),
    ] = None,
    allow_imports: AllowImports = False,
) -> None:
    """Make a smaller network out of a teacher, and compare their costs.

    Trains nothing.
    """
    from stillhouse.cli.terminal import Terminal
    from stillhouse.recipes import make_recipe
    from stillhouse.runs.derive import check_free, derived_pair, write_pair

    asked = {
        "ratio": ratio, "energy": energy, "rank": rank, "bits": bits, "scheme": scheme,
        "start": start, "keep": keep or None,
    }  # fmt: skip
    student: dict[str, Any] = {key: value for key, value in asked.items() if value is not None}
    source = {
        "model": teacher,
        "weights": None if weights is None else str(weights),
        "weights_key": weights_key,
        "weights_prefix": weights_prefix,
    }
    values = {"data": "none", "teacher": source, "student": {"derive": by, **student}}
    recipe = make_recipe(values, where="derive")
    shape = image_shape(image, "derive")
    if out is not None:
        check_free(out)
    pair = derived_pair(
        recipe, classes=classes, image_shape=shape, seed=seed, allow_imports=allow_imports
    )
    sizes = pair.measures()
    console = Terminal()
    console.table(_table(pair, sizes))
    for line in _layers(pair):
        console.print(line, markup=False)
    if weights is None and not teacher.endswith(":pretrained"):
        console.print("The teacher has no weights: what was taken over are random numbers.")
    if out is not None:
        write_pair(pair, sizes, out)
        console.print(f"student: {out / 'student.safetensors'}, {out / 'student.pt2'}")


def _table(pair: "Pair", sizes: Sequence["Measures"]) -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("", "model"):
        table.add_column(title, no_wrap=True)
    for title in ("parameters", "M mult-adds", "file, kB", "ms at batch 1", "ms at batch 64"):
        table.add_column(title, justify="right", no_wrap=True)
    for role, name, size in zip(("teacher", "student"), pair.names, sizes, strict=True):
        times = [f"{spent:.2f}" for spent in size.milliseconds.values()]
        numbers = (f"{size.parameters:,}", f"{size.macs / 1e6:.3f}", f"{size.file_bytes / 1e3:.1f}")
        table.add_row(role, name, *numbers, *times)
    large, small = sizes
    ratios = [
        (large.parameters, small.parameters),
        (large.macs, small.macs),
        (large.file_bytes, small.file_bytes),
        *((spent, small.milliseconds[batch]) for batch, spent in large.milliseconds.items()),
    ]
    shares = [f"{after / before:.2f}" if before else "-" for before, after in ratios]
    table.add_row("share", "", *shares)
    return table


def _layers(pair: "Pair") -> list[str]:
    """What was rebuilt, and why the rest was not."""
    if pair.layers is None:
        return []
    lines = [f"{len(pair.layers.changes)} layers rebuilt."]
    why: dict[str, list[str]] = {}
    for kept in pair.layers.kept:
        why.setdefault(kept.why, []).append(kept.path)
    for reason, paths in list(why.items())[:SHOWN]:
        more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
        lines.append(f"kept: {', '.join(paths[:3])}{more} ({reason})")
    return lines
