"""`python -m mova`: the command where no script is installed."""

from mova.cli.entry import run

run()
