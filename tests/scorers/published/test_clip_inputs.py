"""Frames of a clip as published evaluations take them, and where its audio ends."""

import numpy as np
import pytest

from mova.scorers.clip_media import ClipMedia
from mova.scorers.published import clip_inputs
from published_networks import moving_clip, sounding, write_short_audio
from shared_scoring import clip_of, still


def filtered(path, rate):
    """Return the mean of each frame that FFmpeg's filter `fps` gives."""
    import av
    from av.filter import Graph

    with av.open(str(path)) as container:
        graph = Graph()
        steps = [graph.add_buffer(template=container.streams.video[0]), graph.add("fps", rate), graph.add("buffersink")]
        graph.link_nodes(*steps).configure()
        for frame in container.decode(video=0):
            graph.vpush(frame)
        graph.vpush(None)
        means = []
        while True:
            try:
                means.append(graph.vpull().to_ndarray(format="rgb24").mean())
            except (av.error.EOFError, av.error.BlockingIOError):
                return means


@pytest.mark.parametrize(("rate", "stated", "count"), [(25.0, "25", 100), (0.5, "1/2", 2)])
def test_frames_are_those_that_ffmpegs_filter_picks(tmp_path, rate, stated, count):
    # Neighbours are far apart, and nothing is near the ends of the range of colours.
    values = (np.arange(96) * 37 % 200 + 20).astype(np.uint8)[:, None, None, None]
    clip = clip_of(tmp_path / "a.mp4", np.broadcast_to(values, (96, 64, 64, 3)).copy(), sounding(4.0))
    found = np.concatenate(list(clip_inputs.sampled_frames(clip, rate, count))).mean(axis=(1, 2, 3))
    assert found == pytest.approx(np.array(filtered(clip.path, stated)[:count]), abs=3)


def test_frames_are_the_same_in_pieces(tmp_path, monkeypatch):
    clip = moving_clip(tmp_path / "a.mp4", 3.0)
    whole = np.concatenate(list(clip_inputs.sampled_frames(clip, 25, 75)))
    monkeypatch.setattr(clip_inputs, "_MOST_BYTES", 7 * 64 * 96 * 3)
    pieces = list(clip_inputs.sampled_frames(clip, 25, 75))
    assert len(pieces) == 11
    assert np.array_equal(np.concatenate(pieces), whole)


def test_steps_are_whole_ones_whatever_the_last_digits_of_a_duration_are():
    assert clip_inputs.num_steps(0.1 * 3, 10) == 3
    assert clip_inputs.num_steps(4.8 - 1e-9, 25) == 120
    assert clip_inputs.num_steps(193 / 24, 25) == 201


def test_audio_that_ends_before_the_video_is_noticed(tmp_path):
    assert clip_inputs.audio_gap(moving_clip(tmp_path / "a.mp4", 1.0)) == ""
    assert clip_inputs.audio_gap(clip_of(tmp_path / "mute.mp4", still(1.0))) == ""
    gap = clip_inputs.audio_gap(ClipMedia(write_short_audio(tmp_path / "short.mp4")))
    assert gap.startswith("the audio ends at 3.")
    assert gap.endswith("the video at 5.00 s")


def test_a_video_stands_still_where_noise_of_coding_is_all_that_changes():
    frames = np.full((4, 3, 8, 8), 100, np.uint8)
    frames[2] += 7
    assert clip_inputs.stands_still(frames)
    frames[3, 0, 0, 0] += 8
    assert not clip_inputs.stands_still(frames)
    assert clip_inputs.stands_still(frames[:1])
