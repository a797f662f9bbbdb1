import os
import signal
import stat
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mova.errors import MuxError, ReadError
from mova.geometry import num_samples
from mova.media.probe import probe
from mova.media.read import read_clip
from mova.media.write import check_complete, check_writable, read_metadata, write_clip
from mova.types import Clip

# The interpreter of this test must find the package in a child process too.
_CHILD_ENV = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "OMP_NUM_THREADS": "1"}


def clip(
    *, height: int = 32, width: int = 48, num_frames: int = 5, frame_rate: float = 24.0, sample_rate: int = 16_000
) -> Clip:
    frames = np.random.default_rng(0).integers(0, 256, (num_frames, height, width, 3), np.uint8)
    samples = num_samples(num_frames, frame_rate, sample_rate)
    tone = 0.5 * np.sin(np.arange(samples) * 2 * np.pi * 440 / sample_rate)
    return Clip(frames, tone[None].astype(np.float32), frame_rate, sample_rate)


@pytest.mark.parametrize("sample_rate", [16_000, 24_000, 44_100, 48_000])
@pytest.mark.parametrize("frame_rate", [24_000 / 1001, 24.0, 25.0, 60.0])
def test_flash_and_click_stay_together_within_a_millisecond(films, tmp_path, frame_rate, sample_rate):
    written, flashes = films.flash_and_click(frame_rate, sample_rate)
    write_clip(tmp_path / "clip.mp4", written)
    back = read_clip(tmp_path / "clip.mp4")
    assert (back.frame_rate, back.sample_rate) == (frame_rate, sample_rate)
    assert back.waveform.shape == written.waveform.shape
    assert [index for index, frame in enumerate(back.frames) if frame.mean() > 128] == flashes
    heard = films.onsets_s(back.waveform, sample_rate)
    np.testing.assert_allclose(heard, [flash / frame_rate for flash in flashes], atol=1e-3)


def test_stereo_keeps_its_sides(tmp_path):
    mono = clip(num_frames=25)
    stereo = Clip(mono.frames, np.concatenate([mono.waveform, 0 * mono.waveform]), 24.0, 16_000)
    write_clip(tmp_path / "clip.mp4", stereo)
    back = read_clip(tmp_path / "clip.mp4", mono=False)
    assert np.abs(back.waveform[0]).max() > 0.4
    assert np.abs(back.waveform[1]).max() < 0.02


def test_colours_survive(tmp_path):
    colours = np.array([[200, 60, 30], [30, 90, 220], [20, 180, 60], [250, 250, 250], [128, 128, 128]], np.uint8)
    frames = np.broadcast_to(colours[:, None, None], (5, 32, 48, 3))
    write_clip(tmp_path / "clip.mp4", Clip(frames, clip().waveform, 24.0, 16_000))
    back = read_clip(tmp_path / "clip.mp4")
    assert np.abs(back.frames.astype(int) - frames).max() <= 4


def test_priming_lies_in_the_edit_list_and_the_index_in_front(films, tmp_path):
    written, _ = films.flash_and_click(24.0, 48_000)
    path = tmp_path / "clip.mp4"
    write_clip(path, written)
    data = path.read_bytes()
    assert 0 < data.find(b"moov") < data.find(b"mdat")
    with av.open(str(path), options={"ignore_editlist": "1"}) as container:
        raw = np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)
    assert films.onsets_s(raw, 48_000)[0] == pytest.approx(1024 / 48_000, abs=1e-3)


@pytest.mark.parametrize(("frame_rate", "sample_rate"), [(24.0, 48_000), (24.0, 16_000), (24_000 / 1001, 44_100)])
def test_both_streams_declare_the_length_of_the_clip(films, tmp_path, frame_rate, sample_rate):
    written, _ = films.flash_and_click(frame_rate, sample_rate)
    write_clip(tmp_path / "clip.mp4", written)
    info = probe(tmp_path / "clip.mp4")
    assert info.audio.duration_s == pytest.approx(written.waveform.shape[1] / sample_rate, abs=1e-6)
    assert info.video.duration_s == pytest.approx(49 / frame_rate, abs=1 / sample_rate)
    assert (info.video.num_frames, info.video.start_s, info.audio.start_s) == (49, 0.0, 0.0)


def test_a_file_that_lost_its_end_does_not_pass_for_complete(tmp_path):
    path = tmp_path / "clip.mp4"
    write_clip(path, clip(num_frames=25))
    check_complete(path, 25, Fraction(16_666, 16_000))
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(OSError, match=r"only .* reached the file"):
        check_complete(path, 25, Fraction(16_666, 16_000))


def test_same_clip_gives_same_bytes(tmp_path):
    for name in ("a.mp4", "b.mp4"):
        write_clip(tmp_path / name, clip(), metadata={"seed": "1"})
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


@settings(max_examples=15, deadline=None)
@example(metadata={"prompt": "\udc80 half a pair", "long": "x" * 100_000})
@given(metadata=st.dictionaries(st.text(max_size=20), st.text(max_size=200), max_size=5))
def test_metadata_comes_back(tmp_path_factory, metadata):
    path = tmp_path_factory.mktemp("metadata") / "clip.mp4"
    write_clip(path, clip(height=16, width=16, num_frames=1), metadata=metadata)
    assert read_metadata(path) == metadata


def test_metadata_of_a_foreign_file_is_empty(films, tmp_path):
    assert read_metadata(films.make(tmp_path / "film.mp4", films.numbered(3))) == {}
    with pytest.raises(ReadError, match=r"missing\.mp4, which does not exist"):
        read_metadata(tmp_path / "missing.mp4")


def test_a_clip_without_sound_is_written_only_when_allowed(tmp_path):
    silent = Clip(clip().frames, None, 24.0, 16_000)
    with pytest.raises(MuxError, match=r"must have audio, got none for .*clip\.mp4; allow_silent=True"):
        write_clip(tmp_path / "clip.mp4", silent)
    assert not list(tmp_path.iterdir())
    write_clip(tmp_path / "clip.mp4", silent, allow_silent=True)
    assert read_clip(tmp_path / "clip.mp4").waveform is None


def test_single_frame(tmp_path):
    write_clip(tmp_path / "clip.mp4", clip(num_frames=1))
    back = read_clip(tmp_path / "clip.mp4")
    assert len(back.frames) == 1
    assert back.waveform.shape == (1, 666)


def _changed(**changes) -> Clip:
    base = clip(**{key: value for key, value in changes.items() if key in {"height", "width"}})
    fields = {"frames": base.frames, "waveform": base.waveform, "frame_rate": 24.0, "sample_rate": 16_000}
    return Clip(**{**fields, **{key: value for key, value in changes.items() if key in fields}})


def _with_sample(value: float) -> np.ndarray:
    waveform = clip().waveform.copy()
    waveform[0, 7] = value
    return waveform


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (_changed(height=33), "height must be even .* got 33; nearest are 32 and 34"),
        (_changed(width=47), "width must be even .* got 47; nearest are 46 and 48"),
        (_changed(frames=clip().frames.astype(np.float32)), "frames must be at least one and uint8, got 5 float32"),
        (_changed(frames=clip().frames[:0]), "frames must be at least one and uint8, got 0"),
        (_changed(frame_rate=float("nan")), "frame rate must be a positive number .* got nan"),
        (_changed(sample_rate=50_000), "got 50000 Hz; nearest is 48000 Hz"),
        (
            _changed(waveform=clip().waveform[:, :-1]),
            "5 frames at 24 per second are 3333 samples at 16000 Hz, got 3332",
        ),
        (_changed(waveform=np.zeros((3, 3333), np.float32)), "audio must have 1 or 2 channels, got 3"),
        (_changed(waveform=_with_sample(np.nan)), "samples must be finite, got 1 that are not"),
        (_changed(waveform=_with_sample(-np.inf)), "samples must be finite, got 1 that are not"),
        (_changed(waveform=_with_sample(-1.5)), r"samples must lie in \[-1, 1\], got up to 1.5"),
    ],
)
def test_a_clip_that_cannot_be_written_is_refused_before_encoding(tmp_path, bad, message):
    with pytest.raises(MuxError, match=message):
        write_clip(tmp_path / "clip.mp4", bad)
    assert not list(tmp_path.iterdir())


def test_rounding_above_full_scale_is_accepted(tmp_path):
    write_clip(tmp_path / "clip.mp4", _changed(waveform=_with_sample(1.0005)))
    assert read_clip(tmp_path / "clip.mp4").waveform.max() <= 1.0


def test_quality_and_metadata_are_checked(tmp_path):
    with pytest.raises(MuxError, match=r"crf must lie in \[0, 51\], got 60; nearest is 51"):
        write_clip(tmp_path / "clip.mp4", clip(), crf=60)
    with pytest.raises(MuxError, match="metadata must be JSON values by names, got Object of type"):
        write_clip(tmp_path / "clip.mp4", clip(), metadata={"image": tmp_path})
    assert not list(tmp_path.iterdir())


def test_paths_that_cannot_be_written_are_named(tmp_path):
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "file").write_text("in the way")
    for path, message in (
        (tmp_path / "folder.mp4", "must be a file name, got the directory"),
        (tmp_path / "clip.avi", r"must end in \.mp4, got .*clip\.avi; nearest is .*clip\.mp4"),
        (tmp_path / "none" / "clip.mp4", "directory that exists, got .*; create .*none first"),
        (tmp_path / "file" / "clip.mp4", "directory that exists, got"),
    ):
        with pytest.raises(MuxError, match=message):
            check_writable(path)
        with pytest.raises(MuxError, match=message):
            write_clip(path, clip())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.mp4"]


def test_a_directory_without_permission_is_named(tmp_path):
    if os.geteuid() == 0:
        closed = Path("/proc/self")  # even root creates nothing there
    else:
        closed = tmp_path / "closed"
        closed.mkdir(mode=0o555)
    with pytest.raises(MuxError, match=r"directory that can be written, got .*clip\.mp4"):
        check_writable(closed / "clip.mp4")


def test_check_writable_leaves_nothing_and_keeps_what_is_there(tmp_path):
    (tmp_path / "old.mp4").write_bytes(b"old")
    assert check_writable(tmp_path / "new.mp4") == tmp_path / "new.mp4"
    assert check_writable(tmp_path / "old.mp4") == tmp_path / "old.mp4"
    assert [path.name for path in tmp_path.iterdir()] == ["old.mp4"]
    assert (tmp_path / "old.mp4").read_bytes() == b"old"


def test_bare_and_odd_names_work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("clip.mp4", "take:1.mp4", "Ünï %03d.mp4", "-y.mp4"):
        write_clip(name, clip())
        assert len(read_clip(name).frames) == 5
    assert len(list(tmp_path.iterdir())) == 4


def test_permissions_follow_the_mask_and_links_are_followed(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link.mp4").symlink_to(tmp_path / "real" / "clip.mp4")
    mask = os.umask(0o027)
    try:
        write_clip(tmp_path / "link.mp4", clip())
    finally:
        os.umask(mask)
    assert (tmp_path / "link.mp4").is_symlink()
    assert stat.S_IMODE((tmp_path / "real" / "clip.mp4").stat().st_mode) == 0o640


def test_the_old_file_is_replaced_and_not_overwritten(tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"old")
    with path.open("rb") as reader:
        write_clip(path, clip())
        assert reader.read() == b"old"
    assert len(read_clip(path).frames) == 5


def test_a_failing_encoder_leaves_the_old_file(tmp_path):
    (tmp_path / "clip.mp4").write_bytes(b"old")
    with pytest.raises(MuxError, match=r"must be written whole, got stopped at .*clip\.mp4: .*; nothing was kept"):
        write_clip(tmp_path / "clip.mp4", clip(), preset="nonsense")
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]
    assert (tmp_path / "clip.mp4").read_bytes() == b"old"


_FILL = """
import resource, sys
import numpy as np
from mova.errors import MuxError
from mova.media.write import write_clip
from mova.types import Clip
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
noise = np.random.default_rng(0).integers(0, 256, (24, 64, 64, 3), np.uint8)
try:
    write_clip(sys.argv[1], Clip(noise, np.zeros((1, 16000), np.float32), 24.0, 16000))
except MuxError as error:
    sys.exit(str(error))
"""


@pytest.mark.parametrize("limit", [0, 100, 20_000, "size - 1"])
def test_a_full_disk_leaves_the_old_file_and_no_other(tmp_path, limit):
    path = tmp_path / "clip.mp4"
    if limit == "size - 1":
        subprocess.run([sys.executable, "-B", "-c", _FILL, path, str(2**30)], check=True, env=_CHILD_ENV)
        limit = path.stat().st_size - 1
    path.write_bytes(b"old")
    child = subprocess.run(
        [sys.executable, "-B", "-c", _FILL, path, str(limit)],
        check=False,
        env=_CHILD_ENV,
        capture_output=True,
        text=True,
    )
    assert child.returncode == 1
    assert "must be written whole" in child.stderr
    assert "too large" in child.stderr
    assert [entry.name for entry in tmp_path.iterdir()] == ["clip.mp4"]
    assert path.read_bytes() == b"old"


_LONG = """
import sys
import numpy as np
from mova.media.write import write_clip
from mova.types import Clip
noise = np.random.default_rng(0).integers(0, 256, (20, 256, 256, 3), np.uint8)
clip = Clip(np.concatenate([noise] * 100), np.zeros((1, 16000 * 2000 // 24), np.float32), 24.0, 16000)
try:
    write_clip(sys.argv[1], clip, preset="slow")
except KeyboardInterrupt:
    sys.exit(130)
"""


def test_ctrl_c_while_writing_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"old")
    with subprocess.Popen([sys.executable, "-c", _LONG, path], env=_CHILD_ENV) as child:
        while not any(part.stat().st_size for part in tmp_path.glob(".mova-*")):
            assert child.poll() is None, "the child ended before it could be interrupted"
            time.sleep(0.02)
        child.send_signal(signal.SIGINT)
        assert child.wait(timeout=300) == 130
    assert [entry.name for entry in tmp_path.iterdir()] == ["clip.mp4"]
    assert path.read_bytes() == b"old"
