"""Long clips into files, with the recorded checkpoint."""

import json
from dataclasses import replace

import numpy as np
import pytest

from long_kit import RATE, asked, clip_of
from mova.generate.long.choice import LongChoice
from mova.generate.long.make import windows_folder
from mova.generate.many import Job
from mova.generate.request import MediaFiles
from mova.generate.run import generate_file, generate_files
from mova.geometry import num_samples
from mova.media.read import read_clip
from mova.media.write import read_metadata, write_clip


@pytest.fixture(scope="module")
def long_clip(checkpoint, tmp_path_factory):
    folder, request = asked(checkpoint, LongChoice(length_s=1.5, prompts_at=((1.0, "a cat"),)))
    notes = []
    target = tmp_path_factory.mktemp("long") / "a.mp4"
    (made,) = generate_files([Job(request, target)], folder, on_note=notes.append)
    return made, notes


def test_a_long_clip_is_a_file_that_says_how_it_was_made(long_clip):
    made, notes = long_clip
    clip = read_clip(made.path)
    assert clip.frames.shape == (37, 32, 48, 3)
    assert made.num_frames == 37
    assert read_metadata(made.path) == dict(made.metadata)
    assert made.metadata["long"] == {"length_s": 1.5, "method": "continue", "prompts_at": [[1.0, "a cat"]]}
    assert [one["begin_s"] for one in made.metadata["windows"]] == [0.0, 0.5417, 0.875, 1.2083]
    assert json.loads(made.to_json())["windows"] == made.metadata["windows"]
    assert notes[0] == "1.542 s (nearest to 1.5 s), 37 frames: 4 windows of 13 frames that overlap by 5 (0.208 s)"


def test_nothing_is_left_beside_a_clip_that_is_there(long_clip):
    from pathlib import Path

    folder = Path(long_clip[0].path).parent
    assert [path.name for path in folder.iterdir()] == ["a.mp4"]


class Killed(BaseException):
    """Stands in for the end of the process."""


def test_an_interrupted_clip_goes_on_and_is_the_same_file_to_the_byte(checkpoint, long_clip, tmp_path):
    folder, request = asked(checkpoint, LongChoice(length_s=1.5, prompts_at=((1.0, "a cat"),)))
    target = tmp_path / "a.mp4"

    def stop(stage, done, total):
        if stage == "sampling" and done == 5:
            raise Killed

    with pytest.raises(Killed):
        generate_file(request, folder, target, on_progress=stop)
    assert not target.exists()
    assert len(list(windows_folder(target).glob("window-*"))) == 2
    steps = []
    generate_file(request, folder, target, on_progress=lambda stage, done, _: steps.append((stage, done)))
    assert ("sampling", 1) not in steps
    assert target.read_bytes() == (long_path(long_clip)).read_bytes()
    assert not windows_folder(target).exists()


def long_path(long_clip):
    from pathlib import Path

    return Path(long_clip[0].path)


def test_a_clip_that_is_extended_stands_at_the_beginning(checkpoint, tmp_path):
    write_clip(tmp_path / "own.mp4", clip_of(11))
    choice = LongChoice(extend=tmp_path / "own.mp4", length_s=1.0)
    folder, request = asked(checkpoint, choice)
    made = generate_file(request, folder, tmp_path / "b.mp4")
    clip, own = read_clip(made.path), read_clip(tmp_path / "own.mp4")
    assert made.num_frames == 23
    assert clip.waveform.shape[1] == num_samples(23, 24.0, RATE)
    # The packets of the clip as they are; AAC once more.
    assert np.array_equal(clip.frames[:11], own.frames)
    assert made.kept == made.metadata["kept_streams"] == {"video": "copied"}
    kept = num_samples(11, 24.0, RATE) - 3360 - 2048  # 70 ms, and two frames of AAC
    assert np.abs(clip.waveform[0, 2000:kept] - own.waveform[0, 2000:kept]).max() < 0.05
    assert made.metadata["extend"]["file"] == "own.mp4"


def test_the_video_of_a_clip_that_was_encoded_in_another_way_is_encoded_once_more(checkpoint, tmp_path):
    write_clip(tmp_path / "own.mp4", clip_of(11), preset="ultrafast")
    folder, request = asked(checkpoint, LongChoice(extend=tmp_path / "own.mp4", length_s=1.0))
    made = generate_file(request, folder, tmp_path / "b.mp4")
    clip, own = read_clip(made.path), read_clip(tmp_path / "own.mp4")
    assert made.kept == {"video": "encoded, since it was encoded in another way"}
    assert made.num_frames == len(clip.frames) == 23
    assert np.abs(clip.frames[:11].astype(int) - own.frames).mean() < 12


def test_without_a_length_one_window_is_added(checkpoint, tmp_path):
    write_clip(tmp_path / "own.mp4", clip_of(11))
    folder, request = asked(checkpoint, LongChoice(extend=tmp_path / "own.mp4"))
    assert generate_file(request, folder, tmp_path / "b.mp4").num_frames == 11 + 13 - 5


@pytest.mark.parametrize("length", [0.4, 3.0])
def test_own_audio_may_be_shorter_or_longer_than_what_is_made(checkpoint, tmp_path, length):
    frames = round(length * 24)
    write_clip(tmp_path / "sound.mp4", clip_of(frames))
    write_clip(tmp_path / "own.mp4", clip_of(11))
    notes = []
    folder, request = asked(
        checkpoint,
        LongChoice(extend=tmp_path / "own.mp4", length_s=1.2),
        MediaFiles(audio=tmp_path / "sound.mp4"),
    )
    (made,) = generate_files([Job(request, tmp_path / "b.mp4")], folder, on_note=notes.append)
    heard = read_clip(made.path).waveform
    assert heard.shape[1] == num_samples(made.num_frames, 24.0, RATE)
    assert any("sound.mp4" in note and ("are used" in note) == (length > 1) for note in notes)


def test_a_request_tells_long_clips_apart(checkpoint):
    _, request = asked(checkpoint, LongChoice(length_s=1.5))
    assert replace(request, long=None) != request
