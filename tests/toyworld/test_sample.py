import hashlib
import itertools
import json
from collections import Counter
from pathlib import Path

import pytest

from mova.errors import ConfigError
from mova.toyworld import (
    BASIC_KINDS,
    DEFAULT_KINDS,
    has_held_out_combination,
    render,
    sample_scene,
    score_clip,
    split_seed,
    with_skins,
)
from mova.toyworld.caption import caption
from mova.toyworld.event import LAST_EVENT_S, REFERENCE_DURATION_S
from mova.toyworld.scenes.ball import END_X
from mova.types import Clip

BALL = ("blue", "metal", "small", "pale blue")
BALL_NUMBERS = (0.347980110539, 0.618526397323, -0.044655038744, 0.878344966803)
MALLET_BARS = (1, 2, 0, 3, 0)
MALLET_TIMES = (0.36872510827, 0.852506239739, 1.161911420301, 1.480517410161, 1.774323437803)
# Every seed also means the same clip with the same measures as when published figures were taken: recorded digests.
# After a change that is meant, `python tests/toyworld/test_sample.py` prints them anew.
RECORDED = Path(__file__).with_name("recorded.json")
KINDS = ("ball", "mallet", "keys", "face", "duet", "balls")
DRAWS = {
    **{kind: {"kind": kind} for kind in KINDS},
    "board": {"kind": "board"},
    "a seed alone": {},
    "drawn from all": {"kinds": KINDS},
    "without held-out combinations": {"kinds": KINDS, "combinations": "training"},
}
NUM_SEEDS = 4
NUM_SCENES = 40  # of which only the plan is recorded


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
    kinds = Counter(sample_scene(seed, kinds=DEFAULT_KINDS).kind for seed in range(600))
    assert set(kinds) == set(DEFAULT_KINDS)
    assert min(kinds.values()) > 70


def test_a_seed_and_a_kind_mean_one_scene_however_the_kind_was_chosen():
    for seed in range(100):
        for kinds in (BASIC_KINDS, DEFAULT_KINDS, ("keys", "duet")):
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


def plain(value):
    """Round numbers, whose last digits depend on the processor."""
    if isinstance(value, float):
        return round(value, 6) + 0.0
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


def digest(value):
    text = value if isinstance(value, bytes) else json.dumps(plain(value), sort_keys=True).encode()
    return hashlib.sha256(text).hexdigest()[:16]


def outcome(score):
    """Return what of a worn clip's measures no rounding changes."""
    values = score.to_dict()
    return {
        key: len(value) if isinstance(value, list | tuple) else value
        for key, value in values.items()
        if key != "kind" and not isinstance(value, float)
    }


def digests_of(options, worn):
    scenes = [sample_scene(split_seed("heldout", index), **options) for index in range(NUM_SCENES)]
    clips = [render(scene, size=64) for scene in scenes[:NUM_SEEDS]]
    worn_clips = [Clip(worn(clip.clip.frames, 7), clip.clip.waveform, 24.0, 16_000) for clip in clips]
    return {
        "plans": digest([scene.to_dict() for scene in scenes]),
        "captions": digest([[caption(scene), caption(scene, ranked=False)] for scene in scenes]),
        "held out": digest([has_held_out_combination(scene) for scene in scenes]),
        "skins": digest([with_skins(scene, ["dark", "light"]).to_dict() for scene in scenes]),
        "events": digest([[event.to_dict() for event in scene.events(2.5)] for scene in scenes]),
        "frames": digest(b"".join(clip.clip.frames.tobytes() for clip in clips)),
        "sound": digest(b"".join((clip.clip.waveform * 2**15).round().astype("<i2").tobytes() for clip in clips)),
        "scores": digest([score_clip(clip.scene, clip.clip).to_dict() for clip in clips]),
        "scores of worn clips": digest(
            [outcome(score_clip(clip.scene, other)) for clip, other in zip(clips, worn_clips, strict=True)]
        ),
    }


@pytest.mark.parametrize("draw", DRAWS)
def test_scenes_clips_and_measures_are_those_that_were_recorded(draw, worn):
    assert digests_of(DRAWS[draw], worn) == json.loads(RECORDED.read_text())[draw]


if __name__ == "__main__":
    import sys

    from conftest import _worn

    sys.stdout.write(json.dumps({draw: digests_of(options, _worn) for draw, options in DRAWS.items()}, indent=2) + "\n")
