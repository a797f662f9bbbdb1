"""`python -m mova.cli`: the same command where no script is installed."""

from mova.cli.entry import run

run()
