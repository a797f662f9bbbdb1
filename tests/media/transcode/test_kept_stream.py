"""One stream of a clip is the user's own, packet by packet; where that cannot be, there is a reason."""

from fractions import Fraction

import av
import numpy as np
import pytest

from mova.errors import MuxError
from mova.media.probe import probe
from mova.media.provenance import read_xmp
from mova.media.read import read_audio, read_clip
from mova.media.transcode.kept_stream import KeptStream, find_kept, write_beside
from mova.media.write import read_metadata
from mova.types import Clip

RATE = 48_000


def drawn(count=24, size=(64, 96)):
    """Frames in which a bar moves."""
    frames = np.zeros((count, *size, 3), dtype=np.uint8)
    for index in range(count):
        frames[index, :, 4 * index % size[1] :][:, :12] = (200, 40 + index, 90)
    return frames


def tone(seconds, channels=2):
    time = np.arange(round(seconds * RATE)) / RATE
    return np.stack([0.4 * np.sin(2 * np.pi * pitch * time) for pitch in (330, 440)][:channels]).astype(np.float32)


def users_file(path, *, count=24, rate=24, b_frames=0, codec="libx264", sound="aac", layout="stereo", seconds=None):
    """A file as somebody's camera may have made it."""
    with av.open(str(path), "w") as container:
        video = audio = None
        if codec is not None:
            video = container.add_stream(
                codec, rate=rate, options={"bf": str(b_frames), "g": "12", "sc_threshold": "0"}
            )
            video.height, video.width, video.pix_fmt = 64, 96, "yuv420p"
        if sound is not None:
            audio = container.add_stream(sound, rate=RATE, layout=layout)
        if video is not None:
            for frame in drawn(count):
                container.mux(video.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(video.encode(None))
        if audio is not None:
            samples = tone(seconds or count / rate)
            form = "s16" if sound in ("pcm_s16le", "flac") else "fltp"
            for first in range(0, samples.shape[1], 1024):
                part = samples[:, first : first + 1024]
                if form == "s16":
                    part = (part * 32767).astype(np.int16).T.reshape(1, -1)
                frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(part), format=form, layout=layout)
                frame.sample_rate, frame.pts, frame.time_base = RATE, first, Fraction(1, RATE)
                container.mux(audio.encode(frame))
            container.mux(audio.encode(None))
    return path


def packets(path, kind):
    with av.open(str(path)) as container:
        stream = container.streams.best(kind)
        return [bytes(packet) for packet in container.demux(stream) if packet.size]


def clip_of(seconds, fps=24.0):
    frames = np.full((round(seconds * fps), 32, 32, 3), 90, dtype=np.uint8)
    return Clip(frames, tone(seconds, 1)[:, : int(seconds * RATE)], fps, RATE)


@pytest.mark.parametrize(
    ("suffix", "b_frames", "rate"), [(".mp4", 0, 24), (".mp4", 2, 30), (".mkv", 0, 25), (".mov", 0, 24)]
)
def test_the_video_that_was_given_is_in_the_file_packet_by_packet(tmp_path, suffix, b_frames, rate):
    own = users_file(tmp_path / f"own{suffix}", count=rate, rate=rate, b_frames=b_frames)
    kept = find_kept(own, "video", start_s=0.0, duration_s=1.0, frame_rate=24.0)
    assert isinstance(kept, KeptStream)
    write_beside(tmp_path / "made.mp4", clip_of(1.0), kept, metadata={"prompt": "a bar"})
    assert packets(tmp_path / "made.mp4", "video") == packets(own, "video")
    before, after = read_clip(own), read_clip(tmp_path / "made.mp4")
    assert np.array_equal(before.frames, after.frames)
    assert after.waveform.shape == (1, RATE)
    expected = clip_of(1.0).waveform
    assert np.abs(after.waveform[:, 2000:-2000] - expected[:, 2000:-2000]).max() < 0.05
    found = probe(tmp_path / "made.mp4")
    assert found.video.start_s == pytest.approx(found.audio.start_s, abs=0.001)
    assert read_metadata(tmp_path / "made.mp4") == {"prompt": "a bar"}
    assert "compositeWithTrainedAlgorithmicMedia" in read_xmp(tmp_path / "made.mp4")


def test_a_longer_video_is_cut_at_its_packets(tmp_path):
    own = users_file(tmp_path / "own.mp4", count=48)
    kept = find_kept(own, "video", start_s=0.5, duration_s=1.0, frame_rate=24.0)
    assert (kept.first, kept.count) == (12, 24)
    write_beside(tmp_path / "made.mp4", clip_of(1.0), kept)
    assert np.array_equal(read_clip(tmp_path / "made.mp4").frames, read_clip(own).frames[12:36])


@pytest.mark.parametrize("sound", ["aac", "libmp3lame"])
@pytest.mark.parametrize("codec", ["libx264", None])
def test_the_audio_that_was_given_is_in_the_file_packet_by_packet(tmp_path, sound, codec):
    own = users_file(tmp_path / ("own.mp4" if codec or sound == "aac" else "own.mp3"), sound=sound, codec=codec)
    kept = find_kept(own, "audio", start_s=0.0, duration_s=1.0, frame_rate=24.0)
    assert isinstance(kept, KeptStream), kept
    write_beside(tmp_path / "made.mp4", clip_of(1.0), kept)
    assert packets(tmp_path / "made.mp4", "audio") == packets(own, "audio")[: kept.count]
    made = read_clip(tmp_path / "made.mp4", mono=False)
    assert made.frames.shape == (24, 32, 32, 3)
    assert made.waveform.shape[0] == 2
    before = read_audio(own, sample_rate=RATE, length=RATE, mono=False).waveform
    # Where the two overlap the samples are the user's own, as their decoder gives them.
    assert np.abs(made.waveform[:, :-2000] - before[:, :-2000]).max() < 1e-6


@pytest.mark.parametrize(
    ("kind", "file", "asked", "reason"),
    [
        ("video", {}, {"start_s": 0.25}, "does not begin with a key frame"),
        ("video", {"count": 12}, {}, "it ends before the clip does"),
        ("video", {"b_frames": 3, "count": 48}, {"duration_s": 2 / 24}, "need some that come after it"),
        ("video", {"codec": "mpeg4"}, {}, "no mpeg4 that players know"),
        ("audio", {"count": 48}, {"start_s": 0.5}, "does not begin where it begins"),
        ("audio", {"seconds": 0.5}, {}, "it ends before the clip does"),
        ("audio", {"suffix": ".mkv", "sound": "pcm_s16le"}, {}, "no pcm_s16le that players know"),
        ("audio", {"sound": None}, {}, "there is no audio"),
    ],
)
def test_there_is_a_reason_where_a_stream_cannot_be_copied(tmp_path, kind, file, asked, reason):
    own = users_file(tmp_path / f"own{file.pop('suffix', '.mp4')}", **file)
    found = find_kept(own, kind, **{"start_s": 0.0, "duration_s": 1.0, "frame_rate": 24.0, **asked})
    assert isinstance(found, str)
    assert reason in found


def test_a_file_that_has_changed_meanwhile_leaves_nothing(tmp_path):
    own = users_file(tmp_path / "own.mp4")
    kept = find_kept(own, "video", start_s=0.0, duration_s=1.0, frame_rate=24.0)
    users_file(tmp_path / "own.mp4", count=12)
    with pytest.raises(MuxError, match="nothing was kept"):
        write_beside(tmp_path / "made.mp4", clip_of(1.0), kept)
    assert not (tmp_path / "made.mp4").exists()
