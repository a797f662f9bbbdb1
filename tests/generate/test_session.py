"""A model that is loaded once for many clips, and the time that its stages take."""

from dataclasses import replace

import numpy as np
import pytest

from mova.errors import ConfigError, StateError, StoppedError
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


PICTURES = np.random.default_rng(0).integers(0, 255, (2, 32, 48, 3), np.uint8)


def asked_for(checkpoint, prompt, seed, **changes):
    _, request = make_request(
        str(checkpoint),
        ClipOptions(prompt=prompt, seed=seed, settings=replace(SHORT, num_inference_steps=3, **changes)),
    )
    return request


@pytest.mark.parametrize("media", ["", "image", "audio"])
def test_clips_of_a_batch_have_the_bits_that_they_have_alone(checkpoint, session, media):
    session, _ = session
    requests = [asked_for(checkpoint, "a dog", 1), asked_for(checkpoint, "a cat", 7)]
    audio = np.sin(np.arange(2 * 12_000, dtype=np.float32) / 9).reshape(2, 1, -1)
    inputs = [{"image": {"image": PICTURES[i]}, "audio": {"audio": audio[i]}}.get(media, {}) for i in range(2)]
    told = []
    clock = Clock(lambda *report: told.append(report))
    session.generate(requests[0], inputs[0], Clock(lambda *_: None))  # a batch is bounded beside what is loaded
    _, together = session.generate_batch(requests, inputs, clock)
    assert [report[1] for report in told if report[0] == SAMPLING] == [0, 1, 2, 3]
    for place in range(2):
        _, alone = session.generate(requests[place], inputs[place], Clock(lambda *_: None))
        one, other = alone.clip(), together.clip(place)
        assert np.array_equal(one.frames, other.frames)
        assert np.array_equal(one.waveform, other.waveform)
        assert together.seeds[place] == alone.seeds[0]
        texts = together.record.of(place, together.seeds), alone.record.of(0, alone.seeds)
        assert texts[0]["prompt"] == texts[1]["prompt"] == requests[place].prompt


def test_clips_that_are_computed_together_are_near_those_alone(checkpoint, session):
    session, _ = session
    requests = [asked_for(checkpoint, "a dog", 1), asked_for(checkpoint, "a cat", 7)]
    _, together = session.generate_batch(requests, [{}, {}], Clock(lambda *_: None), together=True)
    _, alone = session.generate(requests[1], {}, Clock(lambda *_: None))
    assert np.abs(together.clip(1).frames.astype(int) - alone.clip().frames).mean() < 1


def test_a_batch_that_was_stopped_goes_on(checkpoint, session):
    session, _ = session
    requests = [asked_for(checkpoint, "a dog", 1, sampler="unipc"), asked_for(checkpoint, "a cat", 7, sampler="unipc")]
    kept = []
    clock = Clock(lambda *_: None)
    control = Control(save_state=kept.append, every=2)
    _, whole = session.generate_batch(requests, [{}, {}], clock, control=control)
    _, again = session.generate_batch(requests, [{}, {}], clock, control=Control(resume_from=kept[0]))
    assert all(np.array_equal(whole.clip(place).frames, again.clip(place).frames) for place in range(2))
    with pytest.raises(StateError, match=r"differs in .*prompt"):
        session.generate_batch(requests[::-1], [{}, {}], clock, control=Control(resume_from=kept[0]))


def test_what_does_not_go_together_is_refused(checkpoint, session, monkeypatch):
    session, request = session
    clock = Clock(lambda *_: None)
    with pytest.raises(ConfigError, match="clips of a batch must have the same settings"):
        session.generate_batch([request, asked_for(checkpoint, "a cat", 2)], [{}, {}], clock)
    with pytest.raises(ConfigError, match="kinds of media"):
        session.generate_batch([request, request], [{}, {"image": PICTURES[0]}], clock)
    with pytest.raises(ConfigError, match="got 0 clips and 0 media"):
        session.generate_batch([], [], clock)
    assert session.most_clips(request) > 1
    monkeypatch.setattr(Session, "most_clips", lambda *_, **__: 1)
    with pytest.raises(ConfigError, match="at most 1 clips of this size in this memory, got 2"):
        session.generate_batch([request, request], [{}, {}], clock)
