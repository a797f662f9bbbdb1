"""`python -m mova.serve.worker`: a worker, told by standard input what it is to do."""

import sys

from mova.serve.worker.process import main

sys.exit(main())
