"""Which clips a report shows, and what lies beside it."""

import os
from dataclasses import replace

import pytest
from PIL import Image

from evaluated_clips import plan_of, write_clips
from mova.evaluate.measure.runner import measure
from mova.evaluate.measure.store import ScoreStore
from mova.evaluate.page.shown import choose_shown, prepare_shown
from mova.evaluate.results.aggregate import aggregate

PLAN = plan_of("levels")


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    return measure(write_clips(tmp_path_factory.mktemp("clips"), 5), PLAN, ScoreStore())


def test_of_many_clips_the_worst_and_the_best_are_shown(measured):
    results = aggregate(measured, PLAN)
    assert choose_shown(results) == (0, 1, 2, 3, 4)
    few = choose_shown(results, most=2)
    assert len(few) == 2
    assert choose_shown(results, most=2) == few


def test_clips_that_are_not_there_or_cannot_be_scored_are_not_shown(measured):
    results = aggregate(measured, PLAN)
    clips = (replace(results.clips[0], path=""), replace(results.clips[1], scores={}), *results.clips[2:])
    assert choose_shown(replace(results, clips=clips)) == (2, 3, 4)


def test_clips_from_elsewhere_are_linked_and_have_a_spectrogram(measured, tmp_path):
    shown = prepare_shown(tmp_path, measured, (1, 3))
    assert list(shown) == [1, 3]
    file = tmp_path / shown[1].path
    assert file.read_bytes() == measured[1].item.path.read_bytes()
    with Image.open(tmp_path / shown[3].spectrogram) as image:
        assert image.size == (480, 96)
    assert (shown[1].frame_rate, shown[1].duration_s, len(shown[1].sound)) == (24.0, 0.5, 8000)
    assert prepare_shown(tmp_path, measured, (1, 3)).keys() == shown.keys()


def test_where_no_link_can_be_made_clips_are_copied(measured, tmp_path, monkeypatch):
    def no_link(source, target):
        raise OSError("another device")

    monkeypatch.setattr(os, "link", no_link)
    [shown] = prepare_shown(tmp_path, measured, (0,)).values()
    assert (tmp_path / shown.path).read_bytes() == measured[0].item.path.read_bytes()


def test_a_clip_below_the_report_stays_where_it_is(measured, tmp_path):
    path = tmp_path / "clips" / "a.mp4"
    path.parent.mkdir()
    path.write_bytes(measured[0].item.path.read_bytes())
    one = replace(measured[0], item=replace(measured[0].item, path=path))
    assert prepare_shown(tmp_path, [one], (0,))[0].path == "clips/a.mp4"
