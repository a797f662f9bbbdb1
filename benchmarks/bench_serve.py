"""A server under load, timed when it has nothing to do, or killed again and again.

    .venv/bin/python benchmarks/bench_serve.py --clients 50 --seconds 300
    .venv/bin/python benchmarks/bench_serve.py --clients 50 --seconds 60 --model mova-tiny
    .venv/bin/python benchmarks/bench_serve.py --latency 100
    .venv/bin/python benchmarks/bench_serve.py --latency 30 --model mova-tiny
    .venv/bin/python benchmarks/bench_serve.py --kills 50
    .venv/bin/python benchmarks/bench_serve.py --flood 2000

Under load each client asks for the status of a clip once a second, posts every ten seconds, and downloads each clip
that is done. With `--latency` single posts come to an idle server: until the worker has claimed the clip, and with a
model, and an image in each post, until its first call. With `--kills` server, worker and decoders are killed with -9 at
random moments while clients post, and every clip that was accepted is looked for. With `--flood` clients post as fast
as they can, and the memory of the server is noted. Prints one JSON object; what the load costs shares the machine.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from serve.running import Running

from mova.serve.worker.process import MOVA, STAND_IN
from serve import flood, kills, latency, load


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=0, help="50 under load, 8 with --kills")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--step", type=float, default=0.02, help="seconds of a step of the stand-in, of ten")
    parser.add_argument("--model", default="", help="make real clips with this model instead")
    parser.add_argument("--latency", type=int, metavar="POSTS", help="posts to an idle server")
    parser.add_argument("--kills", type=int, metavar="KILLS", help="kills under load")
    parser.add_argument("--flood", type=int, metavar="POSTS", help="posts as fast as they go")
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills")
    given = parser.parse_args()
    options = {"step_s": given.step, "steps": 10}
    # A real model is slower than fifty clients: what waits is no error.
    settings: dict[str, object] = {"model": given.model or "mova-tiny", "limits": {"queued": 100_000}}
    generator = MOVA if given.model else STAND_IN
    if given.latency:
        options, generator = {"step_s": 0.001, "steps": 1}, latency.TIMED if given.model else STAND_IN
    if given.flood:
        options = {"step_s": 0.001, "steps": 1}
    if given.kills:
        settings |= {"checkpoint_every": 1, "worker": {"crashes": 5, "lease_s": 5.0}, "quota": {}}
    with tempfile.TemporaryDirectory() as folder:
        server = Running(Path(folder), generator, options, **settings)
        try:
            if given.latency:
                found = latency.measure(server, given.latency, with_image=bool(given.model))
            elif given.kills:
                found = kills.measure(server, given.kills, given.clients or 8, given.seed)
            elif given.flood:
                found = flood.measure(server, given.flood, given.clients or 12)
            else:
                found = load.measure(server, given.clients or 50, given.seconds)
        finally:
            ended_s = server.stop()
        made_by = given.model or f"stand-in of {options['steps'] * options['step_s']:g} s"
        sys.stdout.write(
            json.dumps({"generator": made_by, **found, "ended_after_s": round(ended_s, 1)}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
