"""A model that is loaded once for many clips, and the time that its stages take."""

from dataclasses import replace

import numpy as np

from mova.generate.many import Job
from mova.generate.request import ClipOptions
from mova.generate.run import GeneratedFile, KeptFile, generate_files, make_request
from mova.generate.session import DECODING, LOADING, SAMPLING, WRITING, Clock
from mova.media.read import read_clip
from mova.media.write import read_metadata
from mova.pipeline import load
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
