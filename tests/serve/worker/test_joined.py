"""A clip behind what a file has before it."""

import numpy as np

from mova.media.write import write_clip
from mova.serve.worker.joined import joined
from mova.types import Clip


def test_what_stands_before_it_comes_first(tmp_path):
    frames = np.repeat(np.arange(13, dtype=np.uint8) * 20, 32 * 32 * 3).reshape(13, 32, 32, 3)
    sound = 0.5 * np.sin(np.arange(8666, dtype=np.float32) / 9)[None]
    write_clip(tmp_path / "a.mp4", Clip(frames, sound, 24.0, 16_000))
    clip = Clip(frames[8:], np.zeros((1, 3333), np.float32), 24.0, 16_000)
    found = joined(tmp_path / "a.mp4", clip, 8 / 24)
    assert np.abs(found.frames.astype(int) - frames).max() < 8
    assert found.waveform.shape == (1, 8666)
    assert np.abs(found.waveform[0, 5333:]).max() == 0
    assert np.abs(found.waveform[0, :5000]).max() > 0.4
    assert joined(tmp_path / "a.mp4", clip, 0.0) is clip
