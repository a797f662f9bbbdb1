"""Clips that collapsed are made again with another seed."""

import json
from dataclasses import replace

import numpy as np
import pytest

from mova.errors import ConfigError, NumericalError, StateError, StoppedError
from mova.generate import again
from mova.generate.again import another_seed, make_batch_until_sound, make_until_sound
from mova.generate.many import Job
from mova.generate.request import ClipOptions
from mova.generate.run import KeptFile, generate_file, generate_files, make_request
from mova.generate.session import Clock, Session
from mova.media.measures.collapse import Collapse
from mova.media.read import read_clip
from mova.media.write import read_metadata
from mova.pipeline.loop.control import Control
from mova.pipeline.origin import read_origin
from mova.pipeline.runtime import Runtime
from mova.settings.sampling import GivenSettings

SHORT = GivenSettings(height=32, width=48, num_frames=5, num_inference_steps=2, guidance_scale=1.0)
FLAT = Collapse("flat", 0.5, 0.1)


@pytest.fixture
def request_of(checkpoint):
    def make(**changes):
        return make_request(str(checkpoint), ClipOptions(prompt="a dog", seed=1, settings=SHORT, **changes))

    return make


@pytest.fixture
def found(monkeypatch):
    """Say of clips, in their turn, that they are flat or good; a list to fill."""
    answers = []
    monkeypatch.setattr("mova.media.measures.collapse.find_collapse", lambda _: answers.pop(0))
    return answers


def test_a_flat_clip_is_made_again_and_says_so(request_of, found, tmp_path):
    found += [FLAT, FLAT, None, None]
    notes = []
    folder, request = request_of()
    (made,) = generate_files([Job(request, tmp_path / "a.mp4")], folder, on_note=notes.append)
    seeds = [another_seed(1, number) for number in range(3)]
    assert len(set(seeds)) == 3
    assert [one.seed for one in made.attempts] == seeds[:2]
    metadata = read_metadata(made.path)
    assert (metadata["seed"], metadata["asked_seed"]) == (seeds[2], 1)
    assert [one["found"] for one in metadata["collapse"]] == ["flat", "flat"]
    assert json.loads(made.to_json())["attempts"][0]["words"] == str(FLAT)
    assert notes[0] == f"seed 1 gave a video that is {FLAT}; made again with another seed"
    # The seed in the file makes the same clip.
    assert read_origin(made.path).seed == seeds[2]
    plain = generate_file(replace(request, seed=seeds[2]), folder, tmp_path / "b.mp4")
    assert np.array_equal(read_clip(plain.path).frames, read_clip(made.path).frames)


def test_at_the_limit_the_last_clip_is_kept_and_said(request_of, found, tmp_path):
    found += [FLAT, FLAT]
    notes = []
    folder, request = request_of(retries=1)
    (made,) = generate_files([Job(request, tmp_path / "a.mp4")], folder, on_note=notes.append)
    assert [one.found for one in made.attempts] == ["flat", "flat"]
    assert made.metadata["seed"] == made.attempts[-1].seed
    assert notes[-1].startswith("the video is flat: ")
    assert "the last of 2 seeds is kept; nearest is another prompt" in notes[-1]


def test_a_clip_that_was_made_again_counts_as_the_one_asked_for(request_of, found, tmp_path):
    found += [FLAT, None]
    folder, request = request_of()
    jobs = [Job(request, tmp_path / "a.mp4")]
    generate_files(jobs, folder, keeps=True)
    (kept,) = generate_files(jobs, folder, keeps=True)
    assert isinstance(kept, KeptFile)


def test_numbers_that_are_not_finite_are_another_try(request_of, found, tmp_path, monkeypatch):
    found += [None]
    folder, request = request_of(retries=1)
    broken = iter([True, False])

    class Sessions:
        def __init__(self, session):
            self.session = session

        def generate(self, *arguments, **options):
            if next(broken):
                raise NumericalError("latents must stay finite")
            return self.session.generate(*arguments, **options)

    whole = again.make_until_sound
    monkeypatch.setattr(
        "mova.generate.run.make_until_sound", lambda session, *others: whole(Sessions(session), *others)
    )
    made = generate_file(request, folder, tmp_path / "a.mp4")
    assert [one.found for one in made.attempts] == [again.NOT_FINITE]


@pytest.fixture
def session(request_of):
    folder, request = request_of()
    return Session(folder, request.settings.geometry, None, Runtime())


def test_a_run_that_was_stopped_at_another_seed_goes_on_with_it(request_of, session, found):
    _, request = request_of()
    clock, states, steps = Clock(lambda *_: None), [], []
    found += [FLAT, None]
    whole = make_until_sound(session, request, {}, clock, lambda _: None)
    found += [FLAT]
    control = Control(on_step=steps.append, is_stopped=lambda: len(steps) == 3, save_state=states.append, every=1)
    with pytest.raises(StoppedError):
        make_until_sound(session, request, {}, clock, lambda _: None, control=control)
    steps.clear()
    found += [None]
    control = Control(on_step=steps.append, resume_from=states[-1])
    again = make_until_sound(session, request, {}, clock, lambda _: None, control=control)
    assert (len(steps), again.seed, again.attempts) == (1, whole.seed, whole.attempts)
    assert np.array_equal(again.clip.frames, whole.clip.frames)
    for other in (replace(request, retries=0), replace(request, seed=2)):
        with pytest.raises(StateError, match="seeds of a state must be those"):
            make_until_sound(session, other, {}, clock, lambda _: None, control=control)


def test_of_clips_made_together_a_flat_one_is_made_again_alone(request_of, session, found):
    _, request = request_of()
    requests = [replace(request, prompt=f"{retries} dogs", retries=retries) for retries in (0, 2, 3)]
    clock, notes, places = Clock(lambda *_: None), [], []
    found += [FLAT, None, FLAT, FLAT, None]

    def control_of(of):
        places.append(list(of))
        return Control()

    made = make_batch_until_sound(session, requests, [{}] * 3, clock, lambda *note: notes.append(note), control_of)
    assert places == [[0, 1, 2], [2]]
    assert [(one.seed, len(one.attempts)) for one in made] == [(1, 1), (1, 0), (another_seed(1, 2), 2)]
    assert [place for place, _ in notes] == [0, 2, 2]
    assert "its seed is kept" in notes[0][1]
    assert "made again with another seed" in notes[1][1]


@pytest.mark.parametrize("retries", [-1, 101, pytest.param(10**5000, id="huge")])
def test_a_limit_out_of_range_is_refused(request_of, retries):
    with pytest.raises(ConfigError, match=f"retries must be 0 to 100, got .+; nearest is {0 if retries < 0 else 100}$"):
        request_of(retries=retries)
