"""Places of the docs that a command writes: tables between a mark and its end.

<!-- NAME.json: KIND -->                  or, of several files with words for the writer,
<!-- A.json, B.json: KIND key=value -->
...
<!-- end -->
"""

import functools
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from result_files import RESULTS

MARKED = re.compile(
    r"(?P<mark><!-- (?P<files>[\w-]+\.json(?:, [\w-]+\.json)*): "
    r"(?P<kind>[a-z]+)(?P<words>[^\n]*) -->\n)"
    r"(?P<table>.*?)(?P<end><!-- end -->)",
    re.DOTALL,
)

Results = Mapping[str, Any]
"""What result files hold, by their names, in the order of the mark."""
Writer = Callable[[Results, Sequence[str]], str]
"""From result files and the words of a mark to what stands between it and its end."""


def rewritten(page: str, writers: Mapping[str, Writer]) -> str:
    """A page with what stands between its marks written anew; kinds without a writer stay."""

    def written(found: re.Match[str]) -> str:
        writer = writers.get(found["kind"])
        if writer is None:
            return found[0]
        results = {name: result(name) for name in found["files"].split(", ")}
        text = writer(results, found["words"].split())
        return f"{found['mark']}{text}\n{found['end']}"

    return MARKED.sub(written, page)


def without_tables(page: str) -> str:
    """The prose of a page."""
    return MARKED.sub("", page)


@functools.cache
def result(name: str) -> Any:
    """What a result file holds; not to be changed."""
    return json.loads((RESULTS / name).read_text("utf-8"))


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown: names to the left, numbers to the right."""
    lines = [titles, ["---", *["---:"] * (len(titles) - 1)], *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )
