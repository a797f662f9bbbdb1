import itertools
from collections import Counter

import pytest

from mova.errors import ConfigError
from mova.toyworld import ALL_KINDS, BASIC_KINDS, sample_scene, split_seed
from mova.toyworld.event import LAST_EVENT_S, REFERENCE_DURATION_S
from mova.toyworld.scenes.ball import END_X

BALL = ("blue", "metal", "small", "pale blue")
BALL_NUMBERS = (0.347980110539, 0.618526397323, -0.044655038744, 0.878344966803)
MALLET_BARS = (1, 2, 0, 3, 0)
MALLET_TIMES = (0.36872510827, 0.852506239739, 1.161911420301, 1.480517410161, 1.774323437803)


def test_splits_share_no_seed():
    ranges = [(split_seed(split, 0), split_seed(split, 999_999_999)) for split in ("train", "validation", "heldout")]
    assert all(one[1] < other[0] for one, other in itertools.pairwise(ranges))


@pytest.mark.parametrize(("split", "index", "text"), [("test", 0, "train, validation, heldout"), ("train", -1, "is 0")])
def test_split_seed_refuses_what_it_does_not_know(split, index, text):
    with pytest.raises(ConfigError, match=text):
        split_seed(split, index)


@pytest.mark.parametrize(("seed", "kind", "text"), [(-1, None, "nearest is 0"), (0, "drum", "ball, mallet")])
def test_sample_scene_refuses_what_it_does_not_know(seed, kind, text):
    with pytest.raises(ConfigError, match=text):
        sample_scene(seed, kind=kind)


def test_a_seed_always_means_the_same_scene():
    # Published figures are over these scenes; a change of this record changes what they mean.
    ball = sample_scene(split_seed("heldout", 0), kind="ball")
    assert (ball.colour, ball.material, ball.size, ball.background) == BALL
    assert (ball.drop, ball.start_x, ball.speed_x, ball.restitution) == pytest.approx(BALL_NUMBERS, abs=1e-9)
    mallet = sample_scene(split_seed("heldout", 1), kind="mallet")
    assert mallet.bars == MALLET_BARS
    assert mallet.times_s == pytest.approx(MALLET_TIMES, abs=1e-9)


def test_both_kinds_are_equally_frequent():
    kinds = Counter(sample_scene(seed).kind for seed in range(1000))
    assert 440 < kinds["ball"] < 560


def test_basic_kinds_are_the_default_and_all_kinds_are_equally_frequent_when_asked_for():
    for seed in range(300):
        assert sample_scene(seed) == sample_scene(seed, kinds=BASIC_KINDS)
    kinds = Counter(sample_scene(seed, kinds=ALL_KINDS).kind for seed in range(600))
    assert set(kinds) == set(ALL_KINDS)
    assert min(kinds.values()) > 70


def test_a_seed_and_a_kind_mean_one_scene_however_the_kind_was_chosen():
    for seed in range(100):
        for kinds in (BASIC_KINDS, ALL_KINDS, ("keys", "duet")):
            scene = sample_scene(seed, kinds=kinds)
            assert scene == sample_scene(seed, kind=scene.kind)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"kinds": ()}, "at least one of ball, mallet"),
        ({"kinds": ("ball", "piano")}, "got 'piano'"),
        ({"combinations": "some"}, "all, training, held_out, got 'some'"),
    ],
)
def test_wrong_kinds_and_combinations_are_refused(options, text):
    with pytest.raises(ConfigError, match=text):
        sample_scene(0, **options)


def test_all_attributes_of_the_ball_are_about_equally_frequent():
    scenes = [sample_scene(seed, kind="ball") for seed in range(600)]
    for name, num_values in (("colour", 5), ("material", 3), ("size", 3), ("background", 4), ("height_word", 3)):
        counts = Counter(getattr(scene, name) for scene in scenes)
        assert len(counts) == num_values
        assert min(counts.values()) > 0.7 * 600 / num_values


def test_no_event_near_the_end_and_no_ball_at_the_border():
    for seed in range(300):
        scene = sample_scene(seed)
        events = scene.events(REFERENCE_DURATION_S)
        assert 2 <= len(events) <= 6
        assert events[-1].time_s < LAST_EVENT_S
        if scene.kind == "ball":
            assert END_X[0] - 1e-9 <= scene.start_x + scene.speed_x * REFERENCE_DURATION_S <= END_X[1] + 1e-9
