from fractions import Fraction

import av
import numpy as np
import pytest

from mova.media import media_file
from mova.media.decode_video import whole_frames
from mova.media.deinterlace import TimedFrame, deinterlaced
from mova.media.read import read_span

HEIGHT, WIDTH = 64, 128


def field(number):
    """Return a picture of a bar that has moved for `number` fields."""
    picture = np.full((HEIGHT, WIDTH, 3), 20, np.uint8)
    picture[:, 4 + 4 * number :][:, :20] = 220
    return picture


def make_interlaced(path, codec, options, is_interlaced, height=HEIGHT):
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.height, stream.width, stream.pix_fmt = height, WIDTH, "yuv420p"
        for index in range(12):
            picture = field(2 * index)
            if is_interlaced(index):
                # The lower field is shown first: PyAV's encoders flag it so.
                picture[::2] = field(2 * index + 1)[::2]
            frame = av.VideoFrame.from_ndarray(picture[:height], format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def combs(frame):
    """Return how far lines differ from the mean of their neighbours."""
    grey = frame[..., 0].astype(int)
    return int(np.abs(grey[2:-2:2] - (grey[1:-3:2] + grey[3:-1:2]) / 2).max())


def edges(frames):
    return [int(np.flatnonzero(frame[30, :, 0] > 120)[0]) for frame in frames]


KINDS = [
    ("film.mp4", "libx264", {"x264-params": "interlaced=1:tff=1"}),
    ("film.mpg", "mpeg2video", {"flags": "+ildct+ilme"}),
    ("film.ts", "mpeg2video", {"flags": "+ildct+ilme"}),
    ("film.avi", "mpeg4", {"flags": "+ildct+ilme"}),
]


@pytest.mark.parametrize(("name", "codec", "options"), KINDS)
def test_interlaced_frames_lose_their_combs_and_keep_number_and_time(tmp_path, name, codec, options):
    path = make_interlaced(tmp_path / name, codec, options, lambda _: True)
    span = read_span(path)
    assert span.own_frames == len(span.clip.frames) == 12
    assert max(map(combs, span.clip.frames)) < 20
    assert edges(span.clip.frames) == pytest.approx([4 + 8 * index for index in range(12)], abs=1)
    part = read_span(path, start_s=0.2, num_frames=3).clip.frames
    assert edges(part) == pytest.approx([44, 52, 60], abs=1)


@pytest.mark.parametrize(("name", "codec", "options"), KINDS)
def test_both_fields_are_shown_at_their_own_times_where_that_is_asked_for(tmp_path, name, codec, options):
    path = make_interlaced(tmp_path / name, codec, options, lambda _: True)
    with media_file.open_media(path) as container:
        stream = media_file.video_stream(container, path)
        shown = list(whole_frames(container, stream, path, each_field=True))
    assert [item.time_s - shown[0].time_s for item in shown] == pytest.approx([index / 50 for index in range(24)])
    pixels = [item.frame.to_ndarray(format="rgb24") for item in shown]
    assert max(map(combs, pixels)) < 20
    assert edges(pixels) == pytest.approx([4 + 4 * index for index in range(24)], abs=1)


def test_progressive_frames_are_left_alone(tmp_path):
    path = make_interlaced(tmp_path / "film.mp4", "libx264", {"crf": "0"}, lambda _: False)
    frames = read_span(path).clip.frames
    assert max(combs(frame) for frame in frames) < 4
    timed = [TimedFrame(float(index), None, frame) for index, frame in enumerate(_decoded(path))]
    assert list(deinterlaced(iter(timed), each_field=True)) == timed
    assert edges(frames) == [4 + 8 * index for index in range(12)]


def test_a_stream_may_change_between_the_two_and_in_size(tmp_path):
    whole = make_interlaced(tmp_path / "a.ts", "mpeg2video", {}, lambda _: False)
    mixed = make_interlaced(tmp_path / "b.ts", "mpeg2video", {"flags": "+ildct+ilme"}, lambda _: True)
    frames = [*_decoded(whole), *_decoded(mixed), *_decoded(whole), *_decoded(mixed)[:1]]
    small = make_interlaced(tmp_path / "c.ts", "mpeg2video", {"flags": "+ildct+ilme"}, lambda _: True, height=32)
    frames += _decoded(small)[:2]
    timed = [TimedFrame(float(index), None, frame) for index, frame in enumerate(frames)]
    shown = list(deinterlaced(iter(timed)))
    assert [item.time_s for item in shown] == [item.time_s for item in timed]
    assert (shown[-1].frame.width, shown[-1].frame.height) == (WIDTH, 32)
    pixels = [item.frame.to_ndarray(format="rgb24") for item in shown[:36]]
    assert max(map(combs, pixels)) < 30
    assert edges(pixels[:12]) == edges(pixels[24:36])


def _decoded(path):
    with av.open(str(path)) as container:
        return list(container.decode(video=0))
