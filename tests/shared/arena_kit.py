"""Small arenas: clips of models that do not differ, an arena of them, votes that were made up."""

import functools
import json
import shutil
import threading
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

from mova.errors import ConfigError
from mova.evaluate.arena.create import create_arena
from mova.evaluate.arena.folder import media_folder, open_arena
from mova.evaluate.arena.ratings.outcomes import Outcomes
from mova.evaluate.arena.records import Answer, Criterion, Vote
from mova.evaluate.arena.server.app import make_app
from mova.evaluate.arena.store import Store
from mova.evaluate.arena.voting import Booth
from mova.files.json_file import as_fields
from mova.media.write import write_clip
from mova.types import Clip
from mova.web.server import run_server

MODELS = ("anna_1b", "berta_7b", "carl_13b")


def write_model_clips(folder, model, prompts, frames=3, size=(16, 16), seconds_of_sound=True):
    """Write a clip for each prompt, whose name and metadata name the model."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, prompt in enumerate(prompts):
        shown = np.full((frames, *size, 3), 60 + 40 * MODELS.index(model), np.uint8)
        shown[:, : size[0] // 2, : size[1] // 3] = np.linspace(0, 200, frames, dtype=np.uint8)[:, None, None, None]
        samples = frames * 2000
        sound = 0.2 * np.sin(2 * np.pi * 220 * (number + 1) * np.arange(samples) / 48_000)
        clip = Clip(shown, sound.astype(np.float32)[None], 24.0, 48_000)
        write_clip(
            folder / f"{model}_{number}.mp4", clip, metadata={"prompt": prompt, "model": model}, preset="ultrafast"
        )


@functools.cache
def template(folder, num_prompts=2, models=MODELS, frames=3, size=(16, 16)):
    """Return an arena in a folder; it is made once, and copied by `copy_arena`."""
    prompts = [
        f"a {['red', 'blue', 'green', 'grey'][number % 4]} ball, number {number}" for number in range(num_prompts)
    ]
    for model in models:
        write_model_clips(folder / "clips" / model, model, prompts, frames, size)
    create_arena(folder / "arena", {model: folder / "clips" / model for model in models}, title="Balls")
    return folder / "arena"


def copy_arena(made, folder):
    """Return a copy of an arena."""
    shutil.copytree(made, folder)
    return folder


def cast(ballot, overall="left", watched=(True, True), **answers):
    """Return what a page sends for a ballot."""
    document = {
        "ballot": ballot,
        "answers": {"overall": overall, **answers},
        "watched": {"left": watched[0], "right": watched[1]},
        "replays": 0,
    }
    return as_fields(document, "body", error=ConfigError)


@contextmanager
def serving(root, rules, **options):
    """Serve an arena in a thread; gives the port and the store."""
    import uvicorn

    ports, is_ready = [], threading.Event()

    def ready(port):
        ports.append(port)
        is_ready.set()

    servers = []

    class Kept(uvicorn.Server):
        def __init__(self, config):
            super().__init__(config)
            servers.append(self)

    with open_arena(root) as database, pytest.MonkeyPatch.context() as patched:
        store = Store(database)
        app = make_app(Booth(store, rules, seed=0, **options), media_folder(root), store.facts().title)
        patched.setattr(uvicorn, "Server", Kept)
        thread = threading.Thread(target=run_server, args=(app, "127.0.0.1", 0, ready), kwargs={"extra": "arena"})
        thread.start()
        assert is_ready.wait(300)
        try:
            yield ports[0], store
        finally:
            servers[0].should_exit = True
            thread.join()


def vote(number, left, right, overall, **changes):
    """Return a vote that was made up."""
    made = Vote(
        ballot=f"ballot{number:06d}",
        rater=f"rater {number % 7}",
        prompt=f"prompt {number % 11}",
        category="",
        left=left,
        right=right,
        answers={Criterion.OVERALL: Answer(overall)},
        watched_left=True,
        watched_right=True,
        replays=0,
        latency_s=20.0,
        issued=f"2026-11-01T10:00:00.{number:06d}+00:00",
        voted=f"2026-11-01T10:01:00.{number:06d}+00:00",
        app_version="0",
    )
    return replace(made, **changes)


def drawn_votes(number, truth, seed=0):
    """Return votes of models with these ratings, by name."""
    rng = np.random.default_rng(seed)
    names = sorted(truth)
    found = []
    for place in range(number):
        left, right = rng.permutation(names)[:2].tolist()
        share = 1 / (1 + 10 ** ((truth[right] - truth[left]) / 400))
        chance = rng.random()
        answer = "tie" if chance < 0.06 else "both_bad" if chance < 0.1 else "left" if rng.random() < share else "right"
        found.append(vote(place, left, right, answer))
    return found


def drawn_outcomes(rng, truth, prompts, per_pair, likeness=4.0):
    """Return outcomes of models with these ratings; a prompt has its own chance, drawn around the true one."""
    rows = []
    for prompt in range(prompts):
        for one in range(len(truth)):
            for other in range(one + 1, len(truth)):
                share = 1 / (1 + 10 ** ((truth[other] - truth[one]) / 400))
                own = rng.beta(share * likeness, (1 - share) * likeness)
                for is_won, is_swapped in rng.random((per_pair, 2)) < (own, 0.5):
                    rows.append((other, one, 1.0 - is_won, prompt) if is_swapped else (one, other, is_won, prompt))
    table = np.asarray(rows, np.float64)
    left, right, cluster = (table[:, column].astype(np.int64) for column in (0, 1, 3))
    names = tuple(f"model {number}" for number in range(len(truth)))
    return Outcomes(names, left, right, table[:, 2], np.zeros(len(table), np.bool_), cluster, prompts)


def write_url(root, url):
    """Say in an arena's folder that its database is elsewhere."""
    (root / "arena.json").write_text(json.dumps({"database": url}))
