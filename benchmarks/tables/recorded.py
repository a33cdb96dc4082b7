"""What a result file does not hold, said below its table."""

from collections.abc import Iterator, Mapping
from typing import Any


def not_recorded(result: Mapping[str, Any]) -> str:
    """A line: what is not recorded, and what its intervals cover then.

    Result files of earlier days have neither the metric on training rows nor an answer per test
    row; whoever reads the table should not look for them.
    """
    lacking = []
    if not any(_trained(result)):
        lacking.append("training accuracy (whether the control under-fits)")
    if not _has_rows(result):
        lacking.append("answers per test row (what other test rows would give)")
    if "study" in result and not result["study"].get("claims"):
        lacking.append("claims or a margin said before")
    return f"Not recorded: {'; '.join(lacking)}." if lacking else "All of it is recorded."


def _trained(result: Mapping[str, Any]) -> Iterator[bool]:
    """Whether trainings tell their metric on training rows."""
    for arm in result.get("study", {}).get("arms", []):
        yield any(value is not None for value in arm["runs"].get("training", []))
    for model in result.get("scores", {}).get("models", []):
        yield any(run.get("training") is not None for run in model["runs"])


def _has_rows(result: Mapping[str, Any]) -> bool:
    """Whether the verdict has an interval for other rows as well."""
    return bool(((result.get("scores") or {}).get("verdict") or {}).get("with_rows"))
