"""Clips of several windows in a worker: with the bytes of the command, also where they were interrupted."""

from dataclasses import replace

import numpy as np
import pytest

from mova.errors import StateError, StoppedError
from mova.generate.run import generate_file, make_request
from mova.media.read import read_frames
from mova.media.write import read_metadata, write_clip
from mova.pipeline.runtime import Runtime
from mova.serve.jobs.options import options_of
from mova.serve.worker.generator import Task, Watch
from mova.serve.worker.mova_generator import make_generator
from mova.types import Clip
from serve_kit import order
from worker_kit import Bench, killed_once, serve_settings

STEPS = 2
WINDOW = {"height": 64, "width": 64, "num_frames": 17, "num_inference_steps": STEPS}
LONG = {"length_s": 41 / 24, "method": "continue", "prompts_at": [[1.0, "a green ball bounces on wood"]]}
ASKED = order("a red ball bounces on wood", model="mova-tiny", seed=3, settings=WINDOW, long=LONG)


@pytest.fixture(scope="module")
def generator(tmp_path_factory):
    made = make_generator(serve_settings(tmp_path_factory.mktemp("data"), model="mova-tiny", precision="float32"), {})
    made.load(lambda *_: None)
    return made


@pytest.fixture(scope="module")
def whole(generator, tmp_path_factory):
    """The clip of the order, made without an interruption."""
    task = Task("video_0", ASKED, {}, tmp_path_factory.mktemp("whole") / "clip.mp4")
    told, states = [], []
    (made,) = generator.make([task], Watch(on_progress=lambda *one: told.append(one), save_state=states.append))
    windows = made.facts["windows"]
    assert [one for one in told if one[0] == "sampling"][-1][1:] == (STEPS * len(windows), STEPS * len(windows))
    assert (made.facts["num_frames"], made.facts["ended"], len(states)) == (41, None, len(windows))
    assert made.thumbnail
    assert made.waveform
    assert made.spritesheet
    return task.output


def test_it_is_the_file_of_the_command(whole, tmp_path):
    folder, request = make_request("mova-tiny", options_of(ASKED, {}))
    generate_file(request, folder, tmp_path / "clip.mp4", runtime=Runtime(precision="float32"))
    frames = [read_frames(path, frame_rate=24.0, num_frames=41) for path in (whole, tmp_path / "clip.mp4")]
    assert np.array_equal(*frames)
    said = read_metadata(whole)
    assert (said["long"]["prompts_at"], len(said["windows"])) == (LONG["prompts_at"], len(said["windows"]))


@pytest.mark.parametrize("stop", ["stopped", "killed"])
def test_one_that_was_interrupted_goes_on_with_the_window_at_which_it_was(generator, whole, tmp_path, stop):
    task = Task("video_0", ASKED, {}, tmp_path / "clip.mp4")
    steps, states = [], []

    def on_progress(stage, done, _total):
        steps.append(done if stage == "sampling" else -1)
        if stop == "killed" and steps[-1] == STEPS + 1:
            raise KeyboardInterrupt

    watch = Watch(
        on_progress=on_progress,
        is_stopped=lambda: stop == "stopped" and steps[-1] == STEPS + 1,
        save_state=states.append,
    )
    with pytest.raises(StoppedError if stop == "stopped" else KeyboardInterrupt):
        generator.make([task], watch)
    assert not task.output.exists()
    again = Task("video_0", ASKED, {}, tmp_path / "other" / "clip.mp4")
    again.output.parent.mkdir()
    steps.clear()
    generator.make([again], Watch(on_progress=lambda _, done, __: steps.append(done), resume_from=states[-1]))
    assert 1 not in steps
    assert STEPS + 1 in steps
    assert again.output.read_bytes() == whole.read_bytes()


def test_a_state_of_another_kind_is_refused(generator, tmp_path):
    task = Task("video_0", ASKED, {}, tmp_path / "clip.mp4")
    with pytest.raises(StateError, match="must be one of windows"):
        generator.make([task], Watch(resume_from=b"no folder"))


def test_windows_that_are_made_together_keep_their_steps(generator, tmp_path):
    joint = replace(ASKED, long={"length_s": 29 / 24, "method": "joint"}, settings={**WINDOW, "num_inference_steps": 6})
    states, steps = [], []
    task = Task("video_0", joint, {}, tmp_path / "clip.mp4")
    watch = Watch(
        on_progress=lambda stage, done, _: steps.append(done if stage == "sampling" else -1),
        is_stopped=lambda: steps[-1] == 4,
        save_state=states.append,
    )
    with pytest.raises(StoppedError):
        generator.make([task], watch)
    again = replace(task, output=tmp_path / "other.mp4")
    steps.clear()
    (made,) = generator.make([again], Watch(on_progress=lambda _, done, __: steps.append(done), resume_from=states[-1]))
    assert (2 in steps, 6 in steps, made.facts["num_frames"]) == (False, True, 29)


def test_a_clip_goes_on_behind_its_end_for_more_than_a_window(generator, tmp_path):
    slope = np.linspace(0, 200, 64, dtype=np.uint8)
    frames = np.stack([np.broadcast_to(np.roll(slope, shift)[:, None, None], (64, 64, 3)) for shift in range(41)])
    sound = 0.1 * np.sin(np.arange(round(41 / 24 * 16_000), dtype=np.float32) / 9)[None]
    write_clip(tmp_path / "first.mp4", Clip(frames, sound, 24.0, 16_000))
    longer = replace(ASKED, inputs={"extend": "uploads/a.media"}, long={"length_s": 61 / 24})
    task = Task("video_2", longer, {"extend": tmp_path / "first.mp4"}, tmp_path / "clip.mp4")
    (made,) = generator.make([task], Watch())
    assert made.facts["ended"] is None
    assert (made.facts["num_frames"], made.facts["duration_s"]) == (61, pytest.approx(61 / 24))
    assert len(made.facts["windows"]) > 1
    found = read_frames(task.output, frame_rate=24.0, num_frames=61).astype(float)
    assert np.abs(found[:41] - frames).mean() < 2
    assert read_metadata(task.output)["kept_streams"] == {"video": "copied"}


@pytest.mark.slow
def test_one_whose_worker_is_killed_ends_with_the_same_clip(whole, tmp_path):
    bench = Bench(tmp_path, model="mova-tiny", precision="float32")
    assert killed_once(bench, ASKED) == whole.read_bytes()
