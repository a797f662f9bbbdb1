"""Clips that collapsed are made again with another seed."""

import json
from dataclasses import replace

import numpy as np
import pytest

from mova.errors import ConfigError, NumericalError
from mova.generate import again
from mova.generate.again import another_seed
from mova.generate.many import Job
from mova.generate.request import ClipOptions
from mova.generate.run import KeptFile, generate_file, generate_files, make_request
from mova.media.measures.collapse import Collapse
from mova.media.read import read_clip
from mova.media.write import read_metadata
from mova.pipeline.origin import read_origin
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

        def generate(self, *arguments):
            if next(broken):
                raise NumericalError("latents must stay finite")
            return self.session.generate(*arguments)

    whole = again.make_until_sound
    monkeypatch.setattr(
        "mova.generate.run.make_until_sound", lambda session, *others: whole(Sessions(session), *others)
    )
    made = generate_file(request, folder, tmp_path / "a.mp4")
    assert [one.found for one in made.attempts] == [again.NOT_FINITE]


@pytest.mark.parametrize("retries", [-1, 101])
def test_a_limit_out_of_range_is_refused(request_of, retries):
    with pytest.raises(ConfigError, match=f"retries must be 0 to 100, got {retries}; nearest is"):
        request_of(retries=retries)
