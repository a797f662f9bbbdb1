"""Audio alone in a file, with its record."""

import numpy as np
import pytest

from mova.errors import MuxError
from mova.media.provenance import read_xmp
from mova.media.read import read_audio
from mova.media.transcode.sound_file import write_sound
from mova.media.write import read_metadata

TONE = (0.4 * np.sin(2 * np.pi * 330 * np.arange(24_000) / 48_000)).astype(np.float32)[None]


@pytest.mark.parametrize("suffix", [".m4a", ".mp4", ".wav"])
def test_audio_alone_comes_back_with_its_record(tmp_path, suffix):
    path = tmp_path / f"made{suffix}"
    write_sound(path, TONE, 48_000, metadata={"prompt": "a tone"})
    read = read_audio(path, sample_rate=48_000, length=24_000).waveform
    assert np.abs(read[:, 2000:-2000] - TONE[:, 2000:-2000]).max() < (1e-4 if suffix == ".wav" else 0.05)
    assert read_metadata(path) == {"prompt": "a tone"}
    assert (read_xmp(path) is None) is (suffix == ".wav")


@pytest.mark.parametrize(
    ("name", "samples", "rate", "text"),
    [
        ("made.mp3", TONE, 48_000, "must end in .m4a or .mp4 or .wav"),
        ("made.m4a", TONE, 47_000, "nearest is 48000 Hz, or .wav"),
        ("made.m4a", TONE[0], 48_000, "audio must be"),
        ("made.wav", TONE * np.nan, 48_000, "samples must be finite"),
    ],
)
def test_what_cannot_be_written_is_refused(tmp_path, name, samples, rate, text):
    with pytest.raises(MuxError, match=text):
        write_sound(tmp_path / name, samples, rate)
    assert not list(tmp_path.iterdir())
