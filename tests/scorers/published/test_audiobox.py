"""Audiobox Aesthetics on clips: what is scored, and what has a reason instead."""

import json

import numpy as np
import pytest
import torch
from transformers import WavLMConfig

from mova.errors import ConfigError
from mova.scorers.networks.audiobox import AudioboxNetwork
from mova.scorers.published.audiobox import AUDIOBOX, AudioboxScorer, AudioboxSettings, opinions, read_settings
from shared_scoring import clip_of, reason, score, still, tone
from small_scorers import HEADS, TARGETS, audiobox_checkpoint

SETTINGS = AudioboxSettings(5, True, True, (5.0, 6.0, 7.0, 8.0), (1.5,) * 4)


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    config = WavLMConfig(
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        conv_dim=(8,) * 7,
        num_conv_pos_embedding_groups=2,
    )
    return AudioboxNetwork(wavlm=config).eval()


def test_windows_count_by_how_much_of_them_is_sound(small):
    sound = tone(440, 15.0, sample_rate=16_000)
    sound[160_000:] = tone(90, 5.0, sample_rate=16_000)
    whole, first, second = (opinions(part, small, SETTINGS) for part in (sound, sound[:160_000], sound[160_000:]))
    assert whole == pytest.approx([(2 * one + other) / 3 for one, other in zip(first, second, strict=True)])


def test_opinions_are_shifted_and_spread_as_the_targets_were(small):
    sound = tone(440, 1.0, sample_rate=16_000)
    plain = opinions(sound, small, AudioboxSettings(5, True, True, (0.0,) * 4, (1.0,) * 4))
    assert opinions(sound, small, SETTINGS) == pytest.approx(
        [5.0 + place + 1.5 * value for place, value in enumerate(plain)]
    )


def test_one_sample_is_heard_and_none_refused(small):
    assert np.isfinite(opinions(np.ones(1, np.float32), small, SETTINGS)).all()
    with pytest.raises(ValueError, match="got none"):
        opinions(np.zeros(0, np.float32), small, SETTINGS)


def test_silent_and_mute_clips_have_reasons(tmp_path):
    silent = clip_of(tmp_path / "silent.mp4", still(0.5), np.zeros(24_000, np.float32))
    mute = clip_of(tmp_path / "mute.mp4", still(0.5))
    assert reason(AudioboxScorer(tmp_path), silent, "audiobox_pq") == "not applicable: the sound is silent"
    assert reason(AudioboxScorer(tmp_path), mute, "audiobox_pq") == "not applicable: the clip has no audio"


def test_settings_come_from_the_checkpoint_or_from_the_file_beside_it(tmp_path):
    torch.save({"state_dict": {}, "model_cfg": HEADS, "target_transform": TARGETS}, tmp_path / AUDIOBOX.name)
    assert read_settings(tmp_path) == SETTINGS
    torch.save({}, tmp_path / AUDIOBOX.name)
    (tmp_path / "audiobox-aesthetics.json").write_text(json.dumps({**HEADS, "target_transform": TARGETS}))
    assert read_settings(tmp_path) == SETTINGS


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"nth_layer": 7}, "must have nth_layer 13, got 7"),
        ({"proj_num_layer": 0}, "proj_num_layer from 1 to 64, got 0"),
        ({"target_transform": {"CE": {"mean": 1.0}}}, "a number as std of CE, got None"),
        ({"target_transform": None}, "must hold `target_transform`"),
    ],
)
def test_settings_of_another_network_are_clear_errors(tmp_path, changes, message):
    torch.save({}, tmp_path / AUDIOBOX.name)
    stored = {**HEADS, "target_transform": TARGETS, **changes}
    (tmp_path / "audiobox-aesthetics.json").write_text(json.dumps(stored))
    with pytest.raises(ConfigError, match=message):
        read_settings(tmp_path)


def test_a_file_of_another_model_is_a_clear_error(tmp_path):
    clip = clip_of(tmp_path / "a.mp4", sound=tone(440, 0.5))
    other = {"state_dict": {"model.conv.weight": torch.zeros(3)}, "model_cfg": HEADS, "target_transform": TARGETS}
    torch.save(other, tmp_path / AUDIOBOX.name)
    why = reason(AudioboxScorer(tmp_path), clip, "audiobox_ce")
    assert why.startswith("failed: ConfigError")
    assert "must be the file for AudioboxNetwork" in why


@pytest.mark.slow
def test_a_checkpoint_of_published_names_gives_four_opinions(tmp_path):
    clip = clip_of(tmp_path / "a.mp4", sound=tone(440, 1.0))
    torch.manual_seed(1)
    torch.save(audiobox_checkpoint(AudioboxNetwork()), tmp_path / AUDIOBOX.name)
    found = score(AudioboxScorer(tmp_path), clip).scores
    assert [one.reason for one in found.values()] == [""] * 4
