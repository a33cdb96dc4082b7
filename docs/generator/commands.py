"""The page of commands, from the command line itself, as Typer writes it."""

import re

import typer
from typer.cli import get_docs_for_click

from stillhouse.cli.app import app

OPENING = """# Commands

Every command with its arguments and options, generated from the command line itself;
`stillhouse COMMAND --help` says the same. How commands end, and their exit codes:
[running](../running.md).
"""
EXAMPLES = re.compile("\b\n(Examples?:)\n((?:  stillhouse .*\n?)+)")
"""As a terminal shows them, unfolded."""


def page() -> str:
    """One page for all commands."""
    group = typer.main.get_command(app)
    context = group.context_class(group, info_name="stillhouse")
    written = get_docs_for_click(obj=group, ctx=context, name="stillhouse")
    written = written.split("\n", 1)[1]  # its title is ours
    written = re.sub(r"^## `(.*)`$", r"## \1", written, flags=re.MULTILINE)
    return f"{OPENING}{EXAMPLES.sub(_as_code, written)}"


def _as_code(found: re.Match[str]) -> str:
    """The examples of a command as a block of code."""
    lines = "\n".join(line.strip() for line in found[2].splitlines())
    return f"{found[1]}\n\n```bash\n{lines}\n```\n"
