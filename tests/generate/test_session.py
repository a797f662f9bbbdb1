"""A model that is loaded once for many clips, and the time that its stages take."""

from dataclasses import replace

import numpy as np
import pytest

from mova.errors import StateError, StoppedError
from mova.generate.many import Job
from mova.generate.request import ClipOptions
from mova.generate.run import GeneratedFile, KeptFile, generate_files, make_request
from mova.generate.session import DECODING, LOADING, SAMPLING, WRITING, Clock, Session
from mova.media.read import read_clip
from mova.media.write import read_metadata, write_clip
from mova.pipeline import load
from mova.pipeline.loop.control import Control
from mova.pipeline.runtime import Runtime
from mova.settings.sampling import GivenSettings

SHORT = GivenSettings(height=32, width=48, num_frames=5, num_inference_steps=1, guidance_scale=1.0)


def test_several_clips_take_one_load_and_equal_single_ones(checkpoint, tmp_path, monkeypatch):
    loads = []
    load_pipeline = load.load_pipeline
    monkeypatch.setattr(
        load, "load_pipeline", lambda *given, **named: loads.append(1) or load_pipeline(*given, **named)
    )
    jobs = []
    for index, size in enumerate([SHORT, replace(SHORT, num_frames=9)]):
        folder, request = make_request(str(checkpoint), ClipOptions(prompt="a dog", seed=1, index=index, settings=size))
        jobs.append(Job(request, tmp_path / f"{index}.mp4"))
    made = generate_files(jobs, folder, keeps=True)
    assert len(loads) == 1
    assert [one.num_frames for one in made] == [5, 9]
    (alone,) = generate_files([Job(jobs[1].request, tmp_path / "alone.mp4")], folder)
    assert read_metadata(tmp_path / "alone.mp4") == read_metadata(tmp_path / "1.mp4")
    # Loaded twice, sums may round otherwise by where in memory their parts begin, and the codec spreads it.
    frames = [read_clip(tmp_path / f"{name}.mp4").frames.astype(int) for name in ("alone", "1")]
    assert np.abs(frames[0] - frames[1]).mean() < 1
    assert set(alone.seconds) == {LOADING, SAMPLING, DECODING, WRITING}

    (tmp_path / "1.mp4").unlink()
    again = generate_files(jobs, folder, keeps=True)
    assert [type(one) for one in again] == [KeptFile, GeneratedFile]
    assert len(loads) == 3
    assert [type(one) for one in generate_files(jobs, folder, keeps=True)] == [KeptFile, KeptFile]
    assert len(loads) == 3, "nothing was left to make"


def test_a_clock_tells_every_stage_and_adds_up_what_comes_twice():
    told = []
    clock = Clock(lambda *report: told.append(report))
    clock.begin(LOADING)
    clock.move(5, 4)
    clock.begin(SAMPLING, 1)
    clock.begin(LOADING)
    clock.begin(SAMPLING, 1)
    clock.step(1)
    assert told == [
        (LOADING, 0, 1),
        (LOADING, 4, 4),
        (SAMPLING, 0, 1),
        (LOADING, 0, 1),
        (SAMPLING, 0, 1),
        (SAMPLING, 1, 1),
        (DECODING, 0, 1),
    ]
    assert set(clock.end()) == {LOADING, SAMPLING, DECODING}


@pytest.fixture(scope="module")
def session(checkpoint):
    asked = ClipOptions(prompt="a dog", seed=1, settings=replace(SHORT, num_inference_steps=4, sampler="unipc"))
    folder, request = make_request(str(checkpoint), asked)
    return Session(folder, request.settings.geometry, None, Runtime()), request


def test_a_clip_that_was_stopped_goes_on_to_the_same_file(session, tmp_path):
    session, request = session
    told, kept, seen = [], [], []

    def make(name, **control):
        clock = Clock(lambda *report: told.append(report))
        _, result = session.generate(request, {}, clock, control=Control(**control) if control else None)
        write_clip(tmp_path / name, result.clip())
        return (tmp_path / name).read_bytes()

    whole = make("whole.mp4")
    with pytest.raises(StoppedError, match="after step 2 of 4"):
        make(
            "stopped.mp4",
            on_step=lambda step: seen.append(step.done),
            is_stopped=lambda: len(seen) == 2,
            save_state=kept.append,
        )
    told.clear()
    assert make("again.mp4", resume_from=kept[-1]) == whole
    assert [report for report in told if report[0] == SAMPLING] == [(SAMPLING, done, 4) for done in (0, 3, 4)]
    assert make("once more.mp4") == whole


def test_a_session_tells_runs_apart_by_how_it_computes(session):
    session, request = session
    kept = []
    session.generate(request, {}, Clock(lambda *_: None), control=Control(save_state=kept.append, every=1))
    other = Session(session._folder, request.settings.geometry, None, Runtime(precision="bfloat16"))
    with pytest.raises(StateError, match=r"differs in .*precision"):
        other.generate(request, {}, Clock(lambda *_: None), control=Control(resume_from=kept[0]))
