"""Run a recipe for the terminal: progress while it runs, table and verdict at its end."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from stillhouse.runs.job.watcher import Watcher

if TYPE_CHECKING:
    from stillhouse.recipes import Recipe


def run_recipe(
    recipe: "Recipe", out: Path, *, shared: Path | None, allow_imports: bool, quiet: bool
) -> None:
    """Prepare, run, print."""
    from rich.console import Console

    from stillhouse.cli.progress import Bars, LineProgress
    from stillhouse.cli.table import print_outcome
    from stillhouse.engine.platform import open_platform
    from stillhouse.runs.job.watcher import SilentWatcher
    from stillhouse.runs.run import prepare, run

    console = Console(highlight=False)
    watcher: Watcher = SilentWatcher()
    if not quiet and open_platform(device=recipe.device).main:
        watcher = Bars(console) if sys.stdout.isatty() else LineProgress()
    watcher.say(recipe.title)
    job = prepare(recipe, out, shared=shared, allow_imports=allow_imports, watcher=watcher)
    try:
        outcome = run(job)
    finally:
        if isinstance(watcher, Bars):
            watcher.stop()
    if job.data.platform.main:
        print_outcome(console, outcome)
