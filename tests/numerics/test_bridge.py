"""The bridge against the recorded ones."""

from __future__ import annotations

import re

import pytest
import torch

from mova.models.bridge import CrossModalBridge, interaction_layers
from mova.models.rope import aligned_rotary

CPU = torch.device("cpu")
RECORDS = ("bridge_full_crossrope_bias", "bridge_progressive_norope", "bridge_shallow_pooled_scale")
SCALES = {
    "scale_none": {},
    "scale_1": {"condition_scale": 1.0},
    "scale_half": {"condition_scale": 0.5},
    "scales_split": {"condition_scale": 0.5, "audio_to_video_scale": 0.25, "video_to_audio_scale": 2.0},
}


@pytest.fixture(params=RECORDS)
def recorded(request, read_record):
    record = read_record(request.param)
    bridge = CrossModalBridge(**record.settings["config"]).eval()
    bridge.load_state_dict(record.weights(), strict=True)
    return record, bridge


def _states(record, bridge):
    video, audio = record.tensors["input.visual"], record.tensors["input.audio"]
    grid = tuple(record.settings["grid_size"])
    rotary = bridge.rotary_tables(grid, audio.shape[1], record.settings["video_fps_used_for_forward"], CPU)
    return video, audio, rotary, grid[0]


@pytest.mark.parametrize("scales", SCALES)
def test_bridge_updates_both_towers_as_recorded(recorded, scales):
    record, bridge = recorded
    video, audio = bridge(record.settings["layer"], *_states(record, bridge), **SCALES[scales])
    record.assert_close(video, f"output.{scales}.visual")
    record.assert_close(audio, f"output.{scales}.audio")


def test_bridge_leaves_idle_layers_alone(recorded):
    record, bridge = recorded
    layer = record.settings["idle_layer"]
    assert not bridge.interacts_at(layer)
    states = _states(record, bridge)
    video, audio = bridge(layer, *states)
    assert torch.equal(video, record.tensors["output.idle_layer.visual"])
    assert torch.equal(audio, record.tensors["output.idle_layer.audio"])


def test_one_direction_gives_the_recorded_update(recorded):
    record, bridge = recorded
    video, audio, rotary, num_frames = _states(record, bridge)
    conditioner = bridge.audio_to_video_conditioners.get_submodule(str(record.settings["layer"]))
    record.assert_close(conditioner(video, audio, *rotary, num_frames), "output.a2v_conditioner")


def test_frame_pooling_is_the_recorded_one(read_record):
    record = read_record("bridge_shallow_pooled_scale")
    bridge = CrossModalBridge(**record.settings["config"])
    bridge.load_state_dict(record.weights(), strict=True)
    conditioner = bridge.video_to_audio_conditioners.get_submodule(str(record.settings["layer"]))
    pooled = conditioner.per_frame_pooling(record.tensors["input.visual"], record.settings["grid_size"][0])
    record.assert_close(pooled, "output.pooling")


def test_interaction_layers_are_the_recorded_ones_for_every_strategy_and_depth(recorded):
    record, bridge = recorded
    assert list(bridge.layers) == record.settings["interaction_layers"]
    table = record.settings["interaction_layers_by_visual_x_audio_layers"]
    assert len(table) == 13
    for depths, strategies in table.items():
        video_layers, audio_layers = (int(number) for number in depths.split("x"))
        for strategy, layers in strategies.items():
            assert list(interaction_layers(strategy, video_layers, audio_layers)) == layers, (depths, strategy)


def test_aligned_tables_are_the_recorded_ones_at_every_frame_rate(recorded):
    record, _ = recorded
    config = record.settings["config"]
    grid, num_steps = tuple(record.settings["grid_size"]), record.settings["audio_steps"]
    rates = [
        int(match[1]) for key in record.tensors if (match := re.match(r"freqs\.fps(\d+)\.float32\.visual_cos", key))
    ]
    assert sorted(rates) == [16, 24, 25]
    for rate in rates:
        tables = aligned_rotary(
            grid,
            num_steps,
            config["head_dim"],
            float(rate),
            config["audio_fps"],
            config["apply_first_frame_bias_in_rope"],
            CPU,
        )
        for name, table in zip(("visual", "audio"), tables, strict=True):
            _assert_table(record, f"freqs.fps{rate}.float32.{name}", table)


def test_aligned_tables_are_the_recorded_ones_at_other_audio_rates_and_biases(recorded):
    record, _ = recorded
    pattern = re.compile(r"freqs_alt\.audio_fps([\d.]+)\.bias([01])\.fps(\d+)\.visual_cos")
    matches = [match for key in record.tensors if (match := pattern.fullmatch(key))]
    assert len(matches) == 8
    for match in matches:
        audio_rate = 44100 / 2048 if match[1].startswith("21") else float(match[1])
        grid = (record.settings["grid_size"][0], 1, 1)
        head_dim = record.settings["config"]["head_dim"]
        table, _ = aligned_rotary(grid, 1, head_dim, float(match[3]), audio_rate, match[2] == "1", CPU)
        _assert_table(record, match[0].removesuffix("_cos"), table)


def _assert_table(record, name, table):
    for part, values in zip(("cos", "sin"), table, strict=True):
        # The recorded tables repeat each angle in both halves of the head and were computed in float32.
        expected = record.tensors[f"{name}_{part}"][0].chunk(2, dim=-1)[0]
        torch.testing.assert_close(values[:, 0], expected, atol=2e-6, rtol=0)
