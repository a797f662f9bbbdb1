"""Threads of the whole suite, set before torch is imported: idle ones must not spin on a shared machine."""

import os

os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
os.environ["GOMP_SPINCOUNT"] = "0"
os.environ.setdefault("OMP_NUM_THREADS", "2")
