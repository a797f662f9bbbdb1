"""`python -m mova.cli`: the same command where no script is installed."""

import sys

from mova.cli.app import main

sys.exit(main())
