"""The command `mova`, whose processes note what their scorers compute and which files of networks they open.

    MOVA_COUNTED=LOG python counted_scores.py evaluate CLIPS ...

A line of the log is JSON: {"pid": ..., "what": "scored" or "opened", "name": ..., "seconds": ...}; the name of what was
scored is that of the clip's file and of the scorer's first measure, with a blank between them. `computed`, `opened` and
`seconds` read it.
"""

import functools
import json
import os
import sys
import time
from collections import Counter, defaultdict

VARIABLE = "MOVA_COUNTED"


def note(what, name, seconds=0.0):
    """Add a line to the log, whole even where several processes write."""
    line = json.dumps({"pid": os.getpid(), "what": what, "name": name, "seconds": seconds}) + "\n"
    place = os.open(os.environ[VARIABLE], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(place, line.encode())
    os.close(place)


def counted(scored):
    """Return `ScorerSet.score` as a method that notes each clip when its findings are there."""

    @functools.wraps(scored)
    def score(self, clips):
        begun = time.process_time()
        found = scored(self, clips)
        taken = time.process_time() - begun
        for clip in clips:
            note("scored", f"{clip.path.name} {self.measures[0].name}", taken / len(clips))
        return found

    return score


def watched(made, name_of):
    """Return a function that opens a file, and notes it."""

    @functools.wraps(made)
    def make(*words, **named):
        note("opened", name_of(*words))
        return made(*words, **named)

    return make


def watch():
    """Let this process note what it does."""
    import onnxruntime
    import torch

    from mova.scorers.registry import ScorerSet

    ScorerSet.score = counted(ScorerSet.score)
    session = onnxruntime.InferenceSession
    session.__init__ = watched(
        session.__init__, lambda _, model, *__: f"{len(model)} bytes" if isinstance(model, bytes) else str(model)
    )
    torch.load = watched(torch.load, lambda path, *_: str(path))


def lines(log, what):
    """Return the lines of one kind."""
    found = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    return [line for line in found if line["what"] == what]


def computed(log):
    """Return how often each pair of clip and scorer was computed."""
    return Counter(line["name"] for line in lines(log, "scored"))


def seconds(log):
    """Return the processor seconds of every clip, in order, by the first measure of the scorer."""
    found = defaultdict(list)
    for line in lines(log, "scored"):
        found[line["name"].rsplit(" ", 1)[1]].append(line["seconds"])
    return dict(found)


def opened(log):
    """Return how often each process opened each file."""
    return Counter((line["pid"], line["name"]) for line in lines(log, "opened"))


# Processes that the command starts run this file too, under another name.
if os.environ.get(VARIABLE) and __name__ in ("__main__", "__mp_main__"):
    watch()

if __name__ == "__main__":
    from mova.cli.app import main

    sys.exit(main(sys.argv[1:]))
