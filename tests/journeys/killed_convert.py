"""Converts a model again and again and kills it at random moments.

    python killed_convert.py SOURCE FOLDER COUNT

Each conversion is a process of its own. Prints a line of JSON: what was there after each kill.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

from mova.errors import MovaError
from mova.weights.rewrite import convert_weights, verify_weights

source, folder, count = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
draw = random.Random(17)


def convert(target):
    convert_weights(source, target, dtype="bf16", max_shard_size="200KB")


def state(target):
    if not target.exists():
        return "absent"
    try:
        return "complete" if verify_weights(target) == verify_weights(source) else "another"
    except MovaError as error:
        return f"damaged: {error}"


start = time.perf_counter()
convert(folder / "whole")
duration = time.perf_counter() - start
found = []
for number in range(count):
    target = folder / f"target{number % 2}"
    process = os.fork()
    if process == 0:
        try:
            convert(target)
        finally:
            os._exit(0)
    time.sleep(draw.uniform(0, 1.2) * duration)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    found.append(state(target))
    if target.exists():
        target.rename(folder / f"done{number}")
left = sorted(path.name for path in folder.iterdir() if path.name.startswith("."))
for number in range(2):
    convert(folder / f"target{number}")
facts = {
    "found": found,
    "left": left,
    "left_at_the_end": sorted(path.name for path in folder.iterdir() if path.name.startswith(".")),
    "again": [state(folder / f"target{number}") for number in range(2)],
}
sys.stdout.write(json.dumps(facts) + "\n")
