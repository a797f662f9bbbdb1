"""Files of results: given streams copied, one modality alone, and what is said of it."""

import numpy as np
import pytest
from PIL import Image

from mova.errors import ConfigError, MuxError
from mova.generate.given import parse_keyframe, parse_retake
from mova.generate.many import Job
from mova.generate.request import ClipOptions, MediaFiles
from mova.generate.run import generate_files, make_request
from mova.media.probe import probe
from mova.media.read import read_audio, read_clip
from mova.media.write import read_metadata, write_clip
from mova.pipeline.origin import read_origin
from mova.settings.sampling import GivenSettings
from mova.types import Clip

SHORT = GivenSettings(height=32, width=48, num_frames=9, num_inference_steps=2, guidance_scale=1.0)


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A clip of somebody: larger than those of the model, with a tone."""
    path = tmp_path_factory.mktemp("own") / "own.mp4"
    frames = np.random.default_rng(0).integers(0, 256, (9, 64, 96, 3), dtype=np.uint8)
    tone = (0.3 * np.sin(np.arange(18_000) / 20)).astype(np.float32)[None]
    write_clip(path, Clip(frames, tone, 24.0, 48_000))
    return path


@pytest.fixture(scope="module")
def make(checkpoint, tmp_path_factory):
    """Return a function that makes clips of these options with one model, and what was noted on the way."""
    folder = tmp_path_factory.mktemp("made")

    def run(*asked, suffix=".mp4"):
        jobs = []
        for place, options in enumerate(asked):
            request = make_request(str(checkpoint), ClipOptions(prompt="a dog", settings=SHORT, **options))[1]
            jobs.append(Job(request, folder / f"{len(list(folder.iterdir())) + place}{suffix}"))
        notes = []
        return generate_files(jobs, checkpoint, on_note=notes.append), notes

    return run


def test_a_given_stream_is_in_the_file_as_it_was_and_the_file_says_so(make, own):
    (sound, film), _ = make({"files": MediaFiles(video=own)}, {"files": MediaFiles(audio=own)})
    assert sound.kept == {"video": "copied"}
    assert (sound.width, sound.height, sound.num_frames) == (96, 64, 9)
    assert np.array_equal(read_clip(sound.path).frames, read_clip(own).frames)
    assert read_metadata(sound.path)["kept_streams"] == {"video": "copied"}
    assert read_metadata(sound.path) == dict(sound.metadata)
    assert film.kept == {"audio": "copied"}
    assert (film.width, film.height) == (48, 32)
    heard, before = (read_audio(path, sample_rate=48_000, length=16_000).waveform for path in (film.path, own))
    assert np.abs(heard - before).max() < 1e-6


def test_a_stream_that_cannot_be_copied_is_encoded_and_the_file_says_why(make, own):
    (made,), _ = make({"files": MediaFiles(audio=own), "start_s": 0.0, "fit": "pad", "only": None})
    assert made.kept == {"audio": "copied"}
    longer = own.with_name("longer.mp4")
    clip = read_clip(own)
    write_clip(longer, Clip(np.concatenate([clip.frames] * 3), np.tile(clip.waveform, 3), 24.0, 48_000))
    (made,), notes = make({"files": MediaFiles(video=longer), "start_s": 0.25})
    assert made.kept == {"video": "encoded, since the clip does not begin with a key frame of it"}
    assert (made.width, made.height) == (48, 32)
    assert any("video: 0.25 s to 0.62 s" in note for note in notes)


@pytest.mark.parametrize("suffix", [".m4a", ".wav"])
def test_audio_alone_is_a_file_without_video(make, suffix):
    (made,), _ = make({"only": "audio"}, suffix=suffix)
    assert (made.num_frames, made.width, made.sample_rate, made.duration_s) == (0, 0, 48_000, 0.375)
    assert read_audio(made.path, sample_rate=48_000, length=18_000).waveform.shape == (1, 18_000)
    assert read_metadata(made.path)["only"] == "audio"


def test_video_alone_is_a_file_without_audio(make):
    (made,), _ = make({"only": "video"})
    assert probe(made.path).audio is None
    assert made.sample_rate == 0


def test_a_file_name_must_fit_what_is_asked_for(make):
    with pytest.raises(MuxError, match=r"output must end in \.mp4, got .*nearest is .*mp4"):
        make({}, suffix=".wav")
    with pytest.raises(MuxError, match=r"output must end in \.m4a or \.mp4 or \.wav"):
        make({"only": "audio"}, suffix=".mp3")


def test_a_span_of_a_clip_is_made_anew_and_the_file_can_be_made_again(make, own):
    options = {"files": MediaFiles(video=own), "retakes": (parse_retake("0.1-0.2"),)}
    (made,), notes = make(options)
    assert made.metadata["retake"] == ["0.1-0.2"]
    assert [snap["what"] for snap in made.snaps] == ["kept video, end", "kept video, start"]
    assert any(note.startswith("kept video, end: 0.100 s became 0.042 s") for note in notes)
    assert made.kept == {}
    origin = read_origin(made.path)
    assert origin.retakes == ("0.1-0.2",)
    assert set(origin.inputs) == {"video", "audio"}
    (part,), _ = make(options | {"retakes": (parse_retake("0.1-0.2:audio"),)})
    assert part.kept == {"video": "copied"}
    with pytest.raises(ConfigError, match=r"retake is for a clip that is given, got .* without video"):
        make({"retakes": (parse_retake("0.1-0.2"),)})


def test_keyframes_are_files_that_the_clip_remembers(make, own):
    image = own.with_name("middle.png")
    Image.fromarray(np.zeros((20, 40, 3), np.uint8)).save(image)
    (made,), notes = make({"keyframes": (parse_keyframe(f"0.15={image}"),), "fit": "stretch"})
    assert notes == ["keyframe: 0.150 s became 0.167 s"]
    assert made.metadata["keyframes"][0]["file"] == "middle.png"
    origin = read_origin(made.path)
    assert (origin.keyframes[0][0], origin.fit) == (0.15, "stretch")
