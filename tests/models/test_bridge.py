"""The bridge by itself: strategies, scales, positions, arguments."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mova.errors import ConfigError
from mova.models.bridge import STRATEGIES, CrossModalBridge, interaction_layers

SIZES = {"visual_layers": 3, "audio_layers": 2, "visual_hidden_dim": 48, "audio_hidden_dim": 24, "head_dim": 24}
CPU = torch.device("cpu")


def _bridge(**options):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return CrossModalBridge(**{**SIZES, **options}).eval()


def _states():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, 12, 48, generator=generator), torch.randn(2, 9, 24, generator=generator)


@given(strategy=st.sampled_from(STRATEGIES), video=st.integers(0, 60), audio=st.integers(0, 60))
@settings(max_examples=60, deadline=None)
def test_towers_meet_at_shared_layers_in_order_and_once(strategy, video, audio):
    layers = interaction_layers(strategy, video, audio)
    assert list(layers) == sorted(set(layers))
    assert all(0 <= layer < min(video, audio) for layer in layers)
    assert layers == interaction_layers(strategy, audio, video)


def test_an_unknown_strategy_is_refused():
    with pytest.raises(ConfigError, match="one of full, shallow_focus, distributed, progressive, custom; got 'none'"):
        interaction_layers("none", 3, 3)


def test_keys_count_layers_of_the_towers():
    bridge = _bridge(visual_layers=9, audio_layers=9, interaction_strategy="distributed")
    for name in ("audio_to_video_conditioners", "video_to_audio_conditioners"):
        numbers = {int(key.split(".")[1]) for key in bridge.state_dict() if key.startswith(name)}
        assert numbers == {0, 3, 6}


def test_positions_matter_only_with_cross_rope():
    video, audio = _states()
    outputs = {}
    for has_rope in (True, False):
        bridge = _bridge(apply_cross_rope=has_rope)
        for rate in (24.0, 12.0):
            rotary = bridge.rotary_tables((3, 2, 2), 9, rate, CPU)
            outputs[has_rope, rate] = bridge(0, video, audio, rotary, 3)[0]
    assert torch.equal(outputs[False, 24.0], outputs[False, 12.0])
    assert not torch.allclose(outputs[True, 24.0], outputs[True, 12.0], atol=1e-4)


def test_the_learned_scale_multiplies_both_updates_and_a_given_one_replaces_it():
    bridge, (video, audio) = _bridge(trainable_condition_scale=True), _states()
    rotary = bridge.rotary_tables((3, 2, 2), 9, 24.0, CPU)
    once = bridge(0, video, audio, rotary, 3)
    with torch.no_grad():
        bridge.condition_scale.fill_(3.0)
    thrice = bridge(0, video, audio, rotary, 3)
    given_scale = bridge(0, video, audio, rotary, 3, condition_scale=1.0)
    for before, first, third, explicit in zip((video, audio), once, thrice, given_scale, strict=True):
        torch.testing.assert_close(third - before, 3 * (first - before), atol=1e-5, rtol=1e-5)
        assert torch.equal(explicit, first)


def test_pooled_frames_modulate_the_sound_only():
    plain, pooled = _bridge(), _bridge(pooled_adaln=True)
    pooled.load_state_dict({**pooled.state_dict(), **plain.state_dict()})
    video, audio = _states()
    rotary = plain.rotary_tables((3, 2, 2), 9, 24.0, CPU)
    without, with_pooling = plain(0, video, audio, rotary, 3), pooled(0, video, audio, rotary, 3)
    assert torch.equal(without[0], with_pooling[0])
    assert not torch.allclose(without[1], with_pooling[1], atol=1e-4)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"head_dim": 32}, "head_dim must be even and divide visual_hidden_dim 48, got 32"),
        ({"head_dim": 3}, "head_dim must be even and divide visual_hidden_dim 48, got 3"),
        ({"audio_hidden_dim": 36}, "divide audio_hidden_dim 36, got 24"),
        ({"interaction_strategy": "Full"}, "got 'Full'"),
        (
            {"pooled_adaln": True, "visual_hidden_dim": 64, "audio_hidden_dim": 48, "head_dim": 16},
            "pooled_adaln needs 3 heads to divide the video width, got 64",
        ),
    ],
)
def test_sizes_that_cannot_be_used_are_refused(options, text):
    with pytest.raises(ConfigError, match=text):
        _bridge(**options)
