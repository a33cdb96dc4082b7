"""The path of a stranger, command by command."""

from collections.abc import Sequence

from marks import Results, table


def hour(results: Results, _: Sequence[str]) -> str:
    """Each command with its seconds and its exit code, and all of them together."""
    rows, told = [], list[str]()
    for found in results.values():
        for step in found["steps"]:
            who = "" if step["of_stillhouse"] else " (the stranger's own)"
            rows.append([step["what"] + who, f"`{step['command']}`", _seconds(step["seconds"]),
                         str(step["exit_code"])])  # fmt: skip
        versions = ", ".join(f"{name} {version}" for name, version in found["installed"].items())
        told.append(
            f"{found['commands']} commands of ours, {found['minutes']} minutes, {found['errors']} "
            f"errors, {found['images']} photographs. Installed: {versions}."
        )
    return table(["what", "command", "time", "exit code"], rows) + "\n\n" + "\n".join(told)


def _seconds(seconds: float) -> str:
    """Seconds, or minutes where there are many.

    >>> _seconds(8.4), _seconds(1224.0)
    ('8 s', '20.4 min')
    """
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"
