"""The command line `mermed`: one file for each command, one way to parse, one table of exit codes."""

from mermed_core.cli.program import main

__all__ = ["main"]
