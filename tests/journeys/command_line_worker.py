"""Runs command lines that it reads from stdin, one JSON list a line, and says how each ended.

What would take minutes or other machines is stopped where it begins: everything before that is what the fuzzer is for.
"""

import io
import json
import os
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "shared"))
from peak_memory import peak_bytes


def stop(*_arguments, **_options):
    """Stand in for work that is not the command line's."""
    from mova.errors import ConfigError

    raise ConfigError("the fuzzer stops here")


def prepare():
    """Import what is slow, and replace what works for long."""
    import diffusers  # noqa: F401
    import transformers  # noqa: F401

    import mova.bench.measure
    import mova.distributed.launch
    import mova.evaluate.toyworld
    import mova.media.write
    import mova.pipeline.load
    import mova.pipeline.pipeline
    import mova.toyworld.export
    import mova.train.ladder

    mova.pipeline.load.load_pipeline = stop
    mova.bench.measure.measure = stop
    mova.distributed.launch.launch = stop
    mova.train.ladder.run_recipe = stop
    mova.evaluate.toyworld.measure = stop
    mova.media.write.write_clip = stop


def main():
    """Answer until stdin ends."""
    prepare()
    from mova.cli.app import main as command

    answers = os.fdopen(os.dup(1), "w")
    answers.write("ready\n")
    answers.flush()
    for line in sys.stdin:
        out, errors, began = io.StringIO(), io.StringIO(), time.monotonic()
        with redirect_stdout(out), redirect_stderr(errors):
            code = command(json.loads(line))
        peak = peak_bytes()
        said = errors.getvalue()
        answers.write(json.dumps([code, said[-3000:], len(said), time.monotonic() - began, peak]) + "\n")
        answers.flush()


main()
