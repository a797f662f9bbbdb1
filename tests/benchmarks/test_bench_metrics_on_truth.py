"""The study of metrics on clips that were spoilt: what is done to clips, what counts as seen, and a study in small."""

import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import bench_metrics_on_truth as bench
from metrics_on_truth.figures import Monotone, Verdict, best_shift, seen_by
from metrics_on_truth.note import matrix_of, note_of, plot_of_shift
from metrics_on_truth.sources import SAMPLE_RATE, BannerClip, SpeechClip, ToyClip, vowels
from metrics_on_truth.spoiling import (
    SHIFT,
    SOUND,
    SPEECH_SOUND,
    TOY_SOUND,
    TOY_VIDEO,
    UNSPOILT,
    Spoiling,
    levels_of,
    shifted,
    spoil_sound,
)

from mova.scorers.base import Direction
from mova.scorers.registry import SCORER_NAMES
from mova.toyworld import score_clip

AMOUNT = Spoiling("amount", "of something", (10, 20, 40))
SMALL_SHIFT = replace(SHIFT, levels=(-250, 250))


def clips_with(rows, spoiling=AMOUNT):
    """Values of clips, each a row: as it is, then at the levels."""
    keys = [(UNSPOILT, 0.0), *((spoiling.name, level) for level in spoiling.levels)]
    return [{key: value for key, value in zip(keys, row, strict=True) if value is not None} for row in rows]


def verdict(rows, direction=Direction.HIGHER):
    return seen_by("m", direction, AMOUNT, clips_with(rows))


def test_what_falls_in_every_clip_by_much_is_seen():
    seen = verdict([[1.0, 0.8, 0.5, 0.1], [0.9, 0.7, 0.3, 0.2], [0.7, 0.6, 0.2, 0.1]])
    assert (seen.verdict, seen.monotone, seen.first) == (Verdict.SEES, Monotone.YES, 1.0)
    assert seen.correlation.value == pytest.approx(-1.0)
    assert seen.change == pytest.approx(-(2.6 - 0.4) / 3 / np.std([1.0, 0.9, 0.7], ddof=1))


def test_what_counts_as_better_is_the_wrong_way_and_what_is_neither_is_seen():
    rows = [[0.1, 0.3, 0.5, 0.9], [0.2, 0.3, 0.7, 0.8], [0.0, 0.3, 0.6, 0.7]]
    assert verdict(rows).verdict is Verdict.WRONG_WAY
    assert verdict(rows, Direction.LOWER).verdict is Verdict.SEES
    assert verdict(rows, Direction.NEITHER).verdict is Verdict.SEES


def test_what_follows_surely_but_by_less_than_clips_differ_is_missed():
    rows = [[base, base - 1e-3, base - 2e-3, base - 3e-3] for base in (0.1, 0.5, 0.9)]
    seen = verdict(rows)
    assert seen.correlation.value == pytest.approx(-1.0)
    assert seen.verdict is Verdict.MISSES


def test_what_never_changes_or_goes_both_ways_is_missed():
    flat = verdict([[0.5] * 4, [0.7] * 4])
    assert (flat.verdict, flat.monotone, flat.correlation.value, flat.first) == (
        Verdict.MISSES,
        Monotone.FLAT,
        0.0,
        None,
    )
    assert verdict([[1, 2, 3, 4], [4, 3, 2, 1], [1, 2, 3, 4], [4, 3, 2, 1]]).verdict is Verdict.MISSES


def test_a_metric_without_values_for_half_of_the_clips_does_not_apply():
    rows = [[1.0, 0.5, 0.3, 0.1], [None] * 4, [None] * 4, [None] * 4]
    assert verdict(rows).verdict is Verdict.NOT_APPLICABLE
    assert verdict([[1.0, None, None, None]] * 3).verdict is Verdict.NOT_APPLICABLE


def test_a_step_back_counts_when_it_is_sure():
    assert verdict([[4.0, 1.0, 2.0, 0.0 + 0.1 * at] for at in range(4)]).monotone is Monotone.NO
    rows = [[4.0, 1.0, 1.0 + step, 0.0] for step in (0.5, -0.4, 0.3, -0.3)]
    assert verdict(rows).monotone is Monotone.WITHIN_ERROR


def test_a_change_from_clips_that_are_all_alike_is_without_bound():
    assert verdict([[0.0, 0.1, 0.2, 0.3]] * 3, Direction.LOWER).change == math.inf


def test_both_sides_of_a_shift_are_one_strength_and_the_best_shift_is_named():
    clips = clips_with([[0.5, 0.1, 0.2, 0.9, 0.3]], replace(SHIFT, levels=(-80, -40, 40, 80)))
    spoiling = replace(SHIFT, levels=(-80, -40, 40, 80))
    assert spoiling.strengths == (0.0, 40.0, 80.0)
    assert seen_by("m", Direction.HIGHER, spoiling, clips * 2).means == pytest.approx((0.5, 0.55, 0.2))
    assert best_shift(spoiling, clips) == (40, 0.9)
    assert best_shift(spoiling, [{}]) is None


def test_every_scorer_with_a_figure_listens_or_looks():
    assert sorted((*bench.LOOKS, *bench.LISTENS, "hashes")) == sorted(SCORER_NAMES)


def test_a_shifted_sound_keeps_its_length_and_loses_what_leaves():
    sound = np.arange(1, 6, dtype=np.float32)
    assert shifted(sound, 2).tolist() == [0, 0, 1, 2, 3]
    assert shifted(sound, -2).tolist() == [3, 4, 5, 0, 0]
    assert shifted(sound, 9).tolist() == [0] * 5


@pytest.mark.parametrize("spoiling", SOUND, ids=lambda one: one.name)
def test_more_of_it_takes_a_sound_further_away(spoiling):
    sound = (0.3 * np.sin(np.arange(SAMPLE_RATE) * 0.05) + 0.1 * np.sin(np.arange(SAMPLE_RATE) * 0.4)).astype(
        np.float32
    )
    # A tone at 382 Hz and one at 3056 Hz, which the highest cut-off lets through.
    distances = [
        float(np.abs(spoil_sound(sound, SAMPLE_RATE, spoiling.name, level, 0) - sound).mean())
        for level in spoiling.levels
    ]
    assert distances == sorted(distances)
    assert distances[-1] > 0.01


def test_dropped_sounds_are_nested_and_pitch_and_drift_move_what_is_heard():
    source = ToyClip(2, 64)
    assert source.kind == "keys"

    def heard(name, level):
        clip = source.clip(name, level)
        return source.scene.hear(clip.waveform, clip.sample_rate)

    clean = heard(UNSPOILT, 0)
    half, none = heard("dropped", 50), heard("dropped", 100)
    times = [event.time_s for event in clean]
    assert none == ()
    assert 0 < len(half) < len(clean)
    assert all(min(abs(event.time_s - time) for time in times) < 0.01 for event in half)
    higher, late = heard("pitch", 2), heard("drift", 500)
    assert higher[0].pitch_hz / clean[0].pitch_hz == pytest.approx(2 ** (2 / 12), rel=0.01)
    moved = [after.time_s - before.time_s for before, after in zip(clean, late, strict=False)]
    assert moved == sorted(moved)
    assert moved[-1] > 0.15


def test_own_events_are_in_step_after_the_lead_and_those_of_others_are_not():
    source = ToyClip(0, 64)
    own, other = (score_clip(source.scene, source.clip(name, 1)) for name in (UNSPOILT, "same kind"))
    counted = sum(time_s < own.until_s for time_s in own.heard_s)
    assert len(own.offsets_ms) == counted >= 3
    assert min(own.heard_s) > 0.5
    assert len(other.offsets_ms) < len(own.offsets_ms)


def test_speech_of_vowels_is_cut_and_said_by_others_under_the_same_mouth():
    source = SpeechClip(0, 32, vowels)
    clean = source.clip(UNSPOILT, 0)
    for spoiling in SPEECH_SOUND:
        spoilt = source.clip(spoiling.name, spoiling.levels[-1])
        assert spoilt.waveform.shape == clean.waveform.shape
        assert not np.array_equal(spoilt.waveform, clean.waveform), spoiling.name
        np.testing.assert_array_equal(spoilt.frames, clean.frames)
    half = source.clip("cut", 50).waveform[0]
    assert np.flatnonzero(half)[-1] < 0.6 * np.flatnonzero(clean.waveform[0])[-1]
    # The mouth is shut while nothing sounds, and open when it does.
    middle = clean.frames[:, 17:28, 10:22].astype(int)
    assert np.array_equal(middle[0], middle[11])
    assert np.abs(np.diff(middle, axis=0)).max() > 60


def test_video_is_spoilt_in_every_way_and_the_sound_stays():
    source = BannerClip(1, 64)
    clean = source.clip(UNSPOILT, 0)
    for spoiling in TOY_VIDEO:
        distances = [
            np.abs(source.clip(spoiling.name, level).frames.astype(int) - clean.frames).mean()
            for level in spoiling.levels
        ]
        assert distances == sorted(distances), spoiling.name
        assert distances[0] > 0, spoiling.name


@pytest.mark.slow
def test_a_study_in_small_ends_with_tables_and_a_plot_and_computes_nothing_twice(tmp_path, monkeypatch):
    spoilings = (SMALL_SHIFT, Spoiling("dropped", "share of the sounds left out, %", (100,)))
    study = bench.Study("toy_audio", "Two clips", (ToyClip(2, 64), ToyClip(8, 64)), spoilings, ("levels", "synchrony"))
    family = bench.family_of(study, tmp_path, "")
    assert family.seen["toy: in step", "shift"].verdict is Verdict.SEES
    assert family.seen["silence_share", "dropped"].verdict is Verdict.SEES
    assert best_shift(SMALL_SHIFT, family.values["toy: in step"]) == (0.0, 1.0)
    note, matrix, plot = note_of([family], {"said": "skipped: choice"}), matrix_of([family]), plot_of_shift([family])
    assert "| `toy: in step` | shift | 1, 0 | -1.00 [" in note
    assert "* `clipping_share` never changes (0 unspoilt): shift, dropped" in note
    assert matrix.startswith(
        "### Two clips\n\n| metric | shift | dropped |\n| --- | --- | --- |\n| `toy: in step` | **sees** |"
    )
    assert plot.startswith("<svg xmlns=")
    assert plot.count("<polyline") == 3

    monkeypatch.setattr(bench, "write_clip", lambda *_, **__: pytest.fail("a clip was written twice"))
    monkeypatch.setattr(bench, "score_clip", lambda *_, **__: pytest.fail("a clip was scored twice"))
    assert bench.family_of(study, tmp_path, "").values == family.values


def test_levels_begin_with_the_clip_as_it_is():
    names = levels_of(TOY_SOUND)
    assert names[0] == (UNSPOILT, 0.0)
    assert len(names) == len(set(names)) == 1 + sum(len(one.levels) for one in TOY_SOUND)


def test_a_number_of_clips_out_of_range_is_refused_with_the_nearest(capsys):
    with pytest.raises(SystemExit):
        bench.main(["--clips", "1"])
    assert "--clips must be 2 to 1000, got 1; nearest is 2" in capsys.readouterr().err
