import json

import numpy as np
import pytest

from mova.errors import ConfigError
from mova.evaluate.subject import Generated, Shape
from mova.evaluate.toyworld import CLIP_MEASURES, OPTIONAL_ROWS, ROWS, measure, report_on
from mova.toyworld import render, sample_scene, split_seed
from mova.toyworld.caption import caption
from mova.toyworld.scenes.registry import BASIC_KINDS, DEFAULT_KINDS
from mova.toyworld.score import score_clip
from mova.types import Clip


def _truth(size=64):
    """A perfect generator: renders the held-out scene whose seed it is given."""

    def generate(asked, seed):
        rendered = render(sample_scene(split_seed("heldout", seed), kind=BASIC_KINDS[seed % 2]), size=size)
        assert rendered.caption == asked.caption
        assert np.array_equal(rendered.clip.frames[0], asked.clip.frames[0])
        return rendered.clip

    return generate


def measured(generate, *, size=64, by_combination=False, on_clip=None, known=None, **options):
    subject = Generated(generate, shape=Shape(size=size), **options)
    return measure(subject, by_combination=by_combination, on_clip=on_clip, known=known)


def _silent(clip):
    return Clip(clip.frames, None, clip.frame_rate, clip.sample_rate)


def test_perfect_clips_reach_one_and_chance_stays_far_below():
    report = measured(_truth(), num_clips=24, seed=3, kinds=BASIC_KINDS)
    assert list(report.overall) == list(ROWS)
    for name, estimate in report.overall.items():
        if name in ("recall", "precision", *CLIP_MEASURES) and not name.startswith("nothing"):
            assert estimate.value == (None if name in ("vowel_right", "speaker_right", *OPTIONAL_ROWS) else 1.0)
    assert report.overall["nothing_seen"].value == report.overall["nothing_heard"].value == 0
    assert report.overall["offset_p95_abs_ms"].value < 3
    assert report.overall["landing_right"].num_clips == 12
    assert 0.15 < report.chance["recall"].value < 0.5
    assert report.chance["recall"].low < report.chance["recall"].value < report.chance["recall"].high
    assert set(report.by_kind) == {"ball", "mallet"}
    assert report.by_combination == {}
    assert report.ceiling is None


def test_a_kind_that_is_in_no_default_is_measured_when_asked_for():
    def truth(asked, seed):
        return render(sample_scene(split_seed("heldout", seed), kind="board"), size=64).clip

    report = measured(truth, num_clips=6, seed=0, kinds=("board",))
    assert list(report.by_kind) == ["board"]
    for name in ("recall", "precision", "order_right", "vowel_right", "place_right", "pitch_right", "colour_right"):
        assert report.overall[name].value == 1.0
    assert report.overall["speaker_right"].value is None
    assert report.chance["recall"].value < 0.5


def test_all_default_kinds_are_measured_when_none_is_named():
    def truth(asked, seed):
        return render(sample_scene(split_seed("heldout", seed), kind=DEFAULT_KINDS[seed % 6]), size=64).clip

    report = measured(truth, num_clips=18, seed=0, by_combination=True)
    assert set(report.by_kind) == set(DEFAULT_KINDS)
    for name in ("recall", "precision", "order_right", "vowel_right", "speaker_right", "pitch_right"):
        assert report.overall[name].value == 1.0
    assert report.overall["speaker_right"].num_clips == 3
    assert report.by_kind["duet"]["end_offset_median_abs_ms"].value < 20
    assert report.by_kind["ball"]["speaker_right"].value is None
    assert sum(summary["recall"].num_clips for summary in report.by_combination.values()) == 18
    known = json.loads(report.to_json())
    assert set(known["by_combination"]) == {"with held-out combinations", "without"}
    assert "with held-out combinations (" in report.to_markdown()


def test_no_kind_is_refused():
    with pytest.raises(ConfigError, match="at least one of ball, mallet"):
        measured(_truth(), num_clips=1, seed=0, kinds=())


def test_silent_clips_have_no_recall_and_are_counted():
    truth = _truth()
    report = measured(lambda *request: _silent(truth(*request)), num_clips=6, seed=0, kinds=BASIC_KINDS)
    assert report.overall["recall"].value == report.overall["precision"].value == 0
    assert report.overall["nothing_heard"].value == 1
    assert report.overall["offset_median_ms"].value is None
    assert report.overall["place_right"].value == 1


def test_still_clips_count_as_missed():
    def still(asked, seed):
        return Clip(asked.clip.frames[:1].repeat(49, axis=0), None, 24.0, 16_000)

    report = measured(still, num_clips=4, seed=0, kinds=BASIC_KINDS)
    assert report.overall["recall"].value == 0
    assert report.overall["nothing_seen"].value == 1


def test_ceiling_is_that_of_reencoded_rendered_clips():
    report = measured(_truth(), num_clips=4, seed=0, kinds=BASIC_KINDS, reencode=_silent)
    assert report.overall["recall"].value == 1
    assert report.ceiling["recall"].value == 0
    assert report.ceiling["recall"].num_clips == 4


def test_each_clip_is_reported_as_it_comes():
    seen = []
    measured(_truth(), num_clips=3, seed=1, kinds=BASIC_KINDS, on_clip=lambda *args: seen.append(args))
    assert [index for index, *_ in seen] == [0, 1, 2]
    for _, rendered, clip, scored in seen:
        assert scored.score.seed == rendered.scene.seed
        assert np.array_equal(clip.frames, rendered.clip.frames)


def test_known_clips_are_counted_and_not_made_again():
    made = {}
    whole = measured(
        _truth(),
        num_clips=4,
        seed=1,
        kinds=BASIC_KINDS,
        on_clip=lambda index, _, __, s: made.update({index: s}),
    )
    asked = []

    def rest(rendered, seed):
        asked.append(seed % 10_000)
        return _truth()(rendered, seed)

    first = {index: made[index] for index in (0, 2)}
    again = measured(rest, num_clips=4, seed=1, kinds=BASIC_KINDS, known=first)
    assert asked == [1, 3]
    assert again == whole


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"kinds": ("bal",)}, "kind of scene must be one of ball, .*, got 'bal'; nearest is ball"),
        ({"seed": -1}, "seed must be 0 to 99999, got -1; nearest is 0"),
        ({"seed": 10**30}, "nearest is 99999"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_the_first_clip(changes, text):
    with pytest.raises(ConfigError, match=text):
        measured(lambda *_: pytest.fail("a clip was made"), **({"num_clips": 1, "seed": 0} | changes))


def test_another_seed_means_other_held_out_scenes():
    reports = [measured(_truth(), num_clips=2, seed=seed, kinds=BASIC_KINDS) for seed in (0, 1)]
    assert not {score.seed for score in reports[0].scores} & {score.seed for score in reports[1].scores}
    assert min(score.seed for report in reports for score in report.scores) >= split_seed("heldout", 0)


def test_report_becomes_json_and_a_table():
    scenes = [sample_scene(index, kind=BASIC_KINDS[index % 2]) for index in range(4)]
    report = report_on([score_clip(scene, render(scene, size=64).clip) for scene in scenes])
    known = json.loads(report.to_json())
    assert known["num_clips"] == len(known["clips"]) == 4
    assert known["overall"]["recall"] == {"value": 1.0, "low": 1.0, "high": 1.0, "num_clips": 4}
    lines = report.to_markdown().splitlines()
    assert len(lines) == 2 + len(ROWS) - len(OPTIONAL_ROWS)
    assert len({line.count("|") for line in lines}) == 1
    assert "1.000 [1.000, 1.000]" in lines[2]


def test_a_single_clip_has_no_chance_level():
    scene = sample_scene(0)
    report = report_on([score_clip(scene, render(scene, size=64).clip)])
    assert report.chance == {}
    assert "| - |" in report.to_markdown()


@pytest.mark.parametrize(("num_clips", "nearest"), [(0, 1), (20_000, 10_000)])
def test_number_of_clips_out_of_range_is_refused(num_clips, nearest):
    with pytest.raises(ConfigError, match=f"got {num_clips}; nearest is {nearest}"):
        measured(_truth(), num_clips=num_clips, seed=0)


def test_a_caption_alone_is_measured_by_what_it_says():
    report = measured(_truth(), num_clips=6, seed=3, kinds=BASIC_KINDS, given="text")
    assert report.overall["background_right"].value == report.overall["colour_right"].value == 1
    for name in ("faithful", "background_kept", "start_kept", "place_right", "landing_right", "held_psnr"):
        assert report.overall[name].value is None
    assert "| wall of the caption's colour | 1.000 [1.000, 1.000] |" in report.to_markdown()


def test_frames_that_are_given_are_compared_beside_those_of_the_ceiling():
    def worse(clip):
        return Clip(np.clip(clip.frames.astype(int) + 8, 0, 255).astype(np.uint8), clip.waveform, 24.0, 16_000)

    report = measured(
        _truth(), num_clips=4, seed=3, kinds=BASIC_KINDS, given="first_last", reencode=worse, wordings=(0,)
    )
    assert report.overall["held_psnr"].value == 100
    assert 29 < report.ceiling["held_psnr"].value < 32
    assert "| PSNR of the frames that were given | 100.0 dB [100.0, 100.0] |" in report.to_markdown()


def test_a_figure_of_some_clips_says_of_how_many():
    table = measured(_truth(), num_clips=4, seed=3, kinds=BASIC_KINDS).to_markdown()
    (row,) = [line for line in table.splitlines() if line.startswith("| first landing")]
    assert row.split(" | ")[1] == "1.000 [1.000, 1.000] of 2"
    (row,) = [line for line in table.splitlines() if line.startswith("| colours right")]
    assert row.split(" | ")[1] == "1.000 [1.000, 1.000]"


def test_other_wordings_reach_the_caption_and_leave_the_clips():
    subjects = [
        Generated(lambda *_: pytest.fail("a clip was made"), 8, 3, BASIC_KINDS, Shape(size=64), wordings=wordings)
        for wordings in ((0,), (4,), (6, 7))
    ]
    own, fourth, held_out = ([subject.asked(index) for index in range(8)] for subject in subjects)
    for index, made in enumerate(own):
        assert fourth[index].caption == caption(made.scene, wording=4)
        assert held_out[index].caption in {caption(made.scene, wording=wording) for wording in (6, 7)}
        assert np.array_equal(made.clip.frames, held_out[index].clip.frames)
    assert len({one.caption == caption(one.scene, wording=6) for one in held_out}) == 2


def test_what_was_given_of_another_clip_is_measured_against_the_own_one():
    def follows(asked, _seed):
        return asked.clip

    options = {"num_clips": 8, "seed": 3, "kinds": BASIC_KINDS}
    for given in ("video", "audio"):
        own = measured(follows, given=given, **options)
        shuffled = measured(follows, given=given, is_shuffled=True, **options)
        assert own.overall["recall"].value == 1
        assert shuffled.overall["recall"].value < 0.6
        assert (own.overall["faithful"].value, shuffled.overall["faithful"].value) == (1, given == "video")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"given": "frame", "num_clips": 4}, "shuffled exchanges the given video or audio, got given frame"),
        ({"given": "video", "num_clips": 3}, "two clips of each kind, got 3 clips of 2 kinds; nearest is 4 clips"),
    ],
)
def test_what_cannot_be_shuffled_is_refused(options, text):
    with pytest.raises(ConfigError, match=text):
        measured(_truth(), seed=0, kinds=BASIC_KINDS, is_shuffled=True, **options)
