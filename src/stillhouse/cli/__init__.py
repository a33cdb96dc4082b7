"""The command ``stillhouse``: its subcommands, of which none imports anything heavy early."""

from stillhouse.cli.app import main

__all__ = ["main"]
