"""The command ``stillhouse``: one file per subcommand. Nothing heavy is imported before it is needed."""

from stillhouse.cli.app import main

__all__ = ["main"]
