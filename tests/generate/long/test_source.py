"""The clip that is extended."""

import numpy as np
import pytest

from mova.errors import ConfigError, ReadError
from mova.generate.long.source import read_source
from mova.geometry import ClipGeometry, num_samples
from mova.media.read import read_clip
from mova.media.write import write_clip
from mova.types import Clip

RATE = 16_000


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    rng = np.random.default_rng(0)
    frames = np.repeat(rng.integers(0, 256, (110, 1, 1, 3), np.uint8), 32, axis=1).repeat(48, axis=2)
    samples = (0.3 * np.sin(np.arange(num_samples(110, 24.0, RATE)) / 9))[None].astype(np.float32)
    file = tmp_path_factory.mktemp("source") / "a.mp4"
    write_clip(file, Clip(frames, samples, 24.0, RATE), metadata={"model": "m", "weights_sha256": "ab"})
    return file


def test_a_clip_is_what_its_file_says(path):
    found = read_source(path)
    assert (found.num_frames, found.height, found.width, found.frame_rate) == (110, 32, 48, 24.0)
    assert (found.has_audio, found.model, found.weights_sha256) == (True, "m", "ab")


def test_parts_are_the_clip(path):
    whole = read_clip(path)
    parts = list(read_source(path).parts(110, RATE))
    assert len(parts) == 2
    assert np.array_equal(np.concatenate([frames for frames, _ in parts]), whole.frames)
    samples = np.concatenate([samples for _, samples in parts], axis=1)
    assert samples.shape == whole.waveform.shape
    assert np.abs(samples - whole.waveform).max() < 1e-3


def test_a_clip_without_audio_is_silent(tmp_path):
    write_clip(tmp_path / "a.mp4", Clip(np.zeros((9, 32, 48, 3), np.uint8), None, 24.0, RATE), allow_silent=True)
    source = read_source(tmp_path / "a.mp4")
    assert not source.has_audio
    assert not source.samples(0, 500, RATE).any()


def test_the_model_that_made_a_clip_goes_on_with_it(path):
    geometry = ClipGeometry(32, 48, 13, 24.0)
    read_source(path).check(geometry, "m", "ab")
    with pytest.raises(ConfigError, match=r"a clip of the same model, got a.mp4, which other weights of m made"):
        read_source(path).check(geometry, "m", "cd")


def test_what_cannot_be_read_is_refused(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"no video")
    with pytest.raises(ReadError):
        read_source(tmp_path / "a.mp4")
