import json

import numpy as np
import pytest

from mova.toyworld import render, sample_scene
from mova.toyworld.scenes.registry import BASIC_KINDS, SCENES

HALF_A_FRAME_S = 0.5 / 24


def test_other_frame_rates_and_wide_frames_are_read():
    for rates in ({"frame_rate": 30.0, "num_frames": 61}, {"frame_rate": 16.0, "num_frames": 33}):
        for kind in (*BASIC_KINDS, "board"):
            clip = render(sample_scene(11, kind=kind), size=(64, 112), **rates)
            events = SCENES[kind].read(clip.clip.frames, rates["frame_rate"]).events
            assert [event.time_s for event in events] == pytest.approx(
                [event.time_s for event in clip.events], abs=0.01
            )


@pytest.mark.parametrize("kind", SCENES)
def test_still_worn_and_noise_clips_have_no_events(rendered, worn, kind):
    still = rendered(2, kind).clip.frames[:1].repeat(49, axis=0)
    noise = np.random.default_rng(0).integers(0, 256, still.shape).astype(np.uint8)
    assert SCENES[kind].read(still, 24.0).events == ()
    assert SCENES[kind].read(worn(still, 1), 24.0).events == ()
    assert SCENES[kind].read(noise, 24.0).events == ()
    assert SCENES[kind].read(still[:1], 24.0).events == ()


def test_a_scene_becomes_json_that_names_its_kind():
    for kind, scene_type in SCENES.items():
        scene = sample_scene(3, kind=kind)
        known = json.loads(json.dumps(scene.to_dict()))
        assert known.pop("kind") == kind
        fields = {key: tuple(value) if isinstance(value, list) else value for key, value in known.items()}
        assert scene_type(**fields) == scene
