"""Parts of a long clip, each measured by itself."""

import json
from dataclasses import replace

import numpy as np
import pytest

from mova.errors import ConfigError, GeometryError
from mova.evaluate.parts import check_parts, score_parts
from mova.evaluate.subject import Generated, Shape
from mova.evaluate.toyworld import measure
from mova.toyworld import render, sample_scene

KINDS = ("ball", "face")


def _again(clip, times):
    """A clip that is repeated."""
    samples = len(clip.frames) * clip.sample_rate // 24
    return replace(
        clip, frames=np.concatenate([clip.frames] * times), waveform=np.tile(clip.waveform[:, :samples], (1, times))
    )


@pytest.fixture(scope="module")
def long_clips():
    return {kind: render(sample_scene(7, kind=kind), size=64, num_frames=48) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_each_part_of_a_clip_that_lasts_is_right(long_clips, kind):
    made = long_clips[kind]
    parts = score_parts(made.scene, _again(made.clip, 4), 4, made.clip.frames[0])
    assert len(parts) == 4
    for part in parts:
        assert part.colour_right
        assert part.pitch_right
        assert part.background_kept
        assert part.seen_s
        assert len(part.offsets_ms) == len(part.seen_s)
        assert (part.order_right, part.start_kept, part.faithful, part.landing_right) == (None,) * 4


def test_what_is_lost_on_the_way_is_wrong_in_the_later_parts_alone(long_clips):
    made = long_clips["face"]
    clip = _again(made.clip, 4)
    frames, waveform = clip.frames.copy(), clip.waveform.copy()
    frames[96:] = 255 - frames[96:]
    waveform[:, 128_000 * 3 // 4 :] = 0
    parts = score_parts(made.scene, replace(clip, frames=frames, waveform=waveform), 4, made.clip.frames[0])
    assert [bool(part.colour_right) for part in parts] == [True, True, False, False]
    assert [part.background_kept for part in parts] == [True, True, False, False]
    assert [bool(part.heard_s) for part in parts] == [True, True, True, False]


def test_parts_are_columns_of_the_report():
    subject = Generated(lambda asked, _: _again(asked.clip, 2), 4, 0, KINDS, Shape(size=64, num_frames=48))
    report = measure(subject, parts=2)
    assert list(report.by_part) == ["part 1 of 2", "part 2 of 2"]
    assert report.by_part["part 2 of 2"]["recall"].value > 0.9
    assert "| part 1 of 2 | part 2 of 2 | chance |" in report.to_markdown()
    assert set(json.loads(report.to_json())["by_part"]) == set(report.by_part)
    assert "by_part" not in json.loads(measure(subject).to_json())


def test_parts_that_are_too_short_or_too_many_are_refused(long_clips):
    made = long_clips["ball"]
    with pytest.raises(GeometryError, match=r"got 3 parts of a clip of 2\.00 s; nearest is 2 parts"):
        score_parts(made.scene, made.clip, 3, made.clip.frames[0])
    for count, nearest in ((1, 2), (17, 16), (-1, 2)):
        with pytest.raises(ConfigError, match=f"got {count}; nearest is {nearest}"):
            check_parts(count)
    check_parts(0)
