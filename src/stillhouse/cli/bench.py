"""``stillhouse bench``: what the student of a run costs in each runtime, on this machine."""

import json
import textwrap
from typing import TYPE_CHECKING, Annotated

import typer

from stillhouse.cli.options import TARGET, AllowProgram, RunDirectory, among
from stillhouse.errors import RecipeError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stillhouse.deploy.bench import Bench, RuntimeCosts

WIDTH = 80


def bench(
    run: RunDirectory,
    runtime: Annotated[
        list[str] | None,
        typer.Option(
            help="torch, compiled, onnx or onnx-int8; repeatable (default: all).",
            autocompletion=among("torch", "compiled", "onnx", "onnx-int8"),
        ),
    ] = None,
    threads: Annotated[int, typer.Option(help="Threads of each runtime.")] = 1,
    seconds: Annotated[
        float, typer.Option(help="Seconds of timing for each runtime and batch size.", min=0.0)
    ] = 2.0,
    target: Annotated[
        str, typer.Option(help=TARGET, autocompletion=among("x86", "vnni", "arm"))
    ] = "x86",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print all numbers as one JSON object.")
    ] = False,
    allow_program: AllowProgram = False,
) -> None:
    """Measure latency, throughput and memory of the student in each runtime."""
    from stillhouse.deploy.bench import bench as measured
    from stillhouse.deploy.int8_onnx import TARGETS
    from stillhouse.deploy.runtimes import RUNTIMES

    if target not in TARGETS:
        raise RecipeError("bench", [f"no target '{target}'; there is: {', '.join(TARGETS)}"])
    found = measured(
        run,
        runtimes=runtime or tuple(RUNTIMES),
        threads=threads,
        seconds=seconds,
        target=TARGETS[target],
        allow_program=allow_program,
    )
    if as_json:
        typer.echo(json.dumps(found.as_data(), indent=2))
        return
    for line in table(found):
        typer.echo(line)


def table(found: "Bench") -> "Iterator[str]":
    """The lines of the table, of at most 80 characters."""
    told, threads = dict(found.conditions), found.conditions["threads"]
    size = "x".join(map(str, found.image))
    yield from _folded(f"{found.model}, {found.parameters:,} parameters, images {size}")
    used = f"{threads} thread{'' if threads == 1 else 's'} of {told['processors']} processors"
    versions = ", ".join(
        f"{name} {told[name]}" for name in ("torch", "onnxruntime") if name in told
    )
    yield from _folded(f"{used} ({told['processor']}), {versions}")
    yield ""
    measured = [each for each in found.runtimes if each.latency]
    if measured:
        batches = list(measured[0].latency or ())
        heads = [f"ms, batch {batch}" for batch in batches]
        yield _row("", heads, "images/s", "MB", "file kB", "same")
        for each in measured:
            yield _measured(each)
    for each in found.runtimes:
        if each.why is not None:
            yield from _folded(f"{_name(each)}: not measured. {each.why}")
    if measured:
        yield ""
        yield from _folded(
            "ms: median of an answer ± half the distance of its quartiles. MB: the most that a "
            "process of its own held. same: test rows with torch's answer."
        )


def _name(each: "RuntimeCosts") -> str:
    from stillhouse.deploy.runtimes import RUNTIMES

    return RUNTIMES[each.runtime]


def _measured(each: "RuntimeCosts") -> str:
    times = [f"{_short(one.median)} ±{_short(one.spread)}" for one in (each.latency or {}).values()]
    memory = "-" if each.memory is None else f"{each.memory.peak / 1e6:.0f}"
    same = "-" if each.parity is None else f"{each.parity.agree}/{each.parity.rows}"
    file = f"{(each.file_bytes or 0) / 1e3:,.0f}"
    return _row(_name(each), times, f"{each.throughput or 0:,.0f}", memory, file, same)


def _short(milliseconds: float) -> str:
    """Of a time what is worth telling.

    >>> _short(0.0213), _short(8.1), _short(123.4)
    ('0.021', '8.10', '123')
    """
    places = 3 if milliseconds < 1 else 2 if milliseconds < 100 else 0
    return f"{milliseconds:.{places}f}"


def _row(name: str, times: list[str], speed: str, memory: str, file: str, same: str) -> str:
    spent = "".join(f"{one:>15}" for one in times)
    return f"{name:<16}{spent}{speed:>10}{memory:>6}{file:>9}{same:>7}".rstrip()


def _folded(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH)
