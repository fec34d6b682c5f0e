"""The command `synthanom`."""

from synthanom.cli.commands import app, main

__all__ = ["app", "main"]
