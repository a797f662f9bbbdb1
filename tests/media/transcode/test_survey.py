"""One pass over a video: times of frames, gaps, small frames."""

from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import pytest

from footage_kit import shots, steady_ticks, uneven_ticks, write_video
from mova.errors import ReadError
from mova.media.read import read_clip
from mova.media.transcode.survey import survey_video


def test_times_are_the_presentation_times_in_order(tmp_path):
    ticks, base = uneven_ticks(3.0)
    path = write_video(tmp_path / "a.mkv", shots(4.0, [9.0])[: len(ticks)], ticks, base)
    seen = []
    found = survey_video(path, 32, seen.append)
    assert found.tick == Fraction(1, 1000)
    assert list(found.frames) == ticks
    assert len(seen) == len(ticks)
    assert seen[0].shape == (21, 32, 3)
    assert found.parts[0][0] == 0
    assert found.duration_s == pytest.approx(3.0, abs=0.1)


def test_small_frames_are_never_larger_and_show_the_right_colours(tmp_path):
    ticks, base = steady_ticks(24, 0.5)
    blue = np.zeros((64, 96, 3), np.uint8)
    blue[..., 2] = 200
    seen = []
    survey_video(write_video(tmp_path / "a.mp4", [blue] * 12, ticks, base), 256, seen.append)
    assert seen[0].shape == (64, 96, 3)
    assert seen[0][..., 0].mean() > 150
    assert seen[0][..., 2].mean() < 40


def test_a_gap_ends_a_part_and_a_still_image_does_not(tmp_path):
    ticks, base = steady_ticks(24, 4.0)
    late = [tick + (240 if tick >= 48 else 0) for tick in ticks]
    found = survey_video(write_video(tmp_path / "a.mp4", shots(4.0, [9.0]), late, base, codec="mpeg4"), None, None)
    seconds = [(float(begin * found.tick), float(end * found.tick)) for begin, end in found.parts]
    assert seconds == [pytest.approx((0.0, 2.0), abs=0.01), pytest.approx((12.0, 14.0), abs=0.2)]
    slides = [index * 24 for index in range(8)]
    found = survey_video(write_video(tmp_path / "b.mp4", shots(4.0, [9.0])[:8], slides, base), None, None)
    assert len(found.parts) == 1


def test_borders_are_found_on_the_way_unless_nobody_asks(tmp_path):
    ticks, base = steady_ticks(24, 1.0)
    images = shots(1.0, [9.0], size=(96, 96))
    for image in images:
        image[:16] = image[-16:] = 0
    path = write_video(tmp_path / "a.mp4", images, ticks, base)
    assert survey_video(path, None, None).box == (0, 16, 96, 80)
    assert survey_video(path, None, None, borders=False).box is None


def test_what_is_no_video_is_refused(tmp_path):
    (tmp_path / "a.mp4").write_bytes(np.random.default_rng(0).bytes(3000))
    with pytest.raises(ReadError):
        survey_video(tmp_path / "a.mp4", None, None)


def test_frames_of_little_data_do_not_drift_away_before_a_key_frame(tmp_path):
    path = tmp_path / "low.mp4"
    wide = np.random.default_rng(0).integers(0, 256, (9, 24)).astype(np.float32).repeat(16, 0).repeat(16, 1)
    wide = sum(np.roll(wide, step, 1) for step in range(-6, 7)) / 13
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=24, options={"crf": "44", "bf": "0", "g": "24", "sc_threshold": "0"})
        stream.width, stream.height, stream.pix_fmt = 256, 144, "yuv420p"
        for index in range(49):
            image = np.repeat(wide[:, 2 * index : 2 * index + 256, None], 3, 2).astype(np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        file.mux(stream.encode(None))
    seen = []
    survey_video(path, None, lambda frame: seen.append(frame.astype(np.float32)))
    steps = [float(np.abs(after - before).mean()) for before, after in pairwise(seen)]
    shown = [frame.astype(np.float32) for frame in read_clip(path).frames]
    assert steps == pytest.approx([float(np.abs(b - a).mean()) for a, b in pairwise(shown)], abs=0.3)
