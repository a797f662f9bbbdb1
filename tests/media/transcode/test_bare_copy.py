"""A copy without a word of where a clip came from."""

import av
import numpy as np
import pytest

from arena_kit import write_model_clips
from mova.errors import MuxError, ReadError
from mova.media.probe import probe
from mova.media.read import read_clip
from mova.media.transcode.bare_copy import write_bare_copy


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clip")
    write_model_clips(folder, "anna_1b", ["a secret prompt"], frames=12, size=(32, 48))
    return folder / "anna_1b_0.mp4"


def test_frames_and_audio_are_the_same_and_words_are_gone(clip, tmp_path):
    seconds = write_bare_copy(clip, tmp_path / "copy.mp4")
    assert seconds == pytest.approx(0.5)
    one, other = probe(clip), probe(tmp_path / "copy.mp4")
    assert (one.video, one.audio) == (other.video, other.audio)
    content = (tmp_path / "copy.mp4").read_bytes()
    assert not [word for word in (b"secret", b"anna", b"x264", b"Lavf", b"trained") if word in content]
    assert content.index(b"moov") < content.index(b"mdat")
    first, second = (read_clip(path) for path in (clip, tmp_path / "copy.mp4"))
    assert np.array_equal(first.frames, second.frames)
    assert np.array_equal(first.waveform, second.waveform)


def test_what_is_no_clip_is_refused_and_leaves_nothing(clip, tmp_path):
    (tmp_path / "broken.mp4").write_bytes(clip.read_bytes()[:500])
    with pytest.raises(ReadError):
        write_bare_copy(tmp_path / "broken.mp4", tmp_path / "copy.mp4")
    with pytest.raises(ReadError, match="does not exist"):
        write_bare_copy(tmp_path / "none.mp4", tmp_path / "copy.mp4")
    with pytest.raises(MuxError):
        write_bare_copy(clip, tmp_path / "nowhere" / "copy.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["broken.mp4"]


def test_a_codec_that_not_every_browser_plays_is_refused(clip, tmp_path):
    with av.open(str(tmp_path / "old.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=24)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(ReadError, match="h264, vp9, av1; got mpeg4"):
        write_bare_copy(tmp_path / "old.mp4", tmp_path / "copy.mp4")
