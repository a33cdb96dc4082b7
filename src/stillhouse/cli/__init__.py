"""The command ``stillhouse``: one file per subcommand; nothing heavy is imported early."""

from stillhouse.cli.app import main

__all__ = ["main"]
