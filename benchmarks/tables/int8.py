"""The table of a student in eight bits: what it costs and brings in onnxruntime."""

from collections.abc import Sequence

from marks import Results, table
from stillhouse.records.metric import ACCURACY
from stillhouse.report.wording import count, interval
from stillhouse.verdict.spread import spread

TITLES = ("student", "test %", "bytes", "ms at batch 1", "ms at batch 64")


def int8(results: Results, _: Sequence[str]) -> str:
    """In the order of the result files; further ones, of other small students, come below."""
    rows = [
        [
            each["name"],
            interval(spread(each["accuracy"]), ACCURACY),
            count(each["bytes"]),
            *(f"{each[f'ms_{batch}']:.3f}" for batch in (1, 64)),
        ]
        for found in results.values()
        for each in found["students"]
    ]
    return table(TITLES, rows)
