"""The towers against the recorded ones."""

from __future__ import annotations

import pytest
import torch

from mova.models.modulation import timestep_embedding
from mova.models.rope import audio_rotary, video_rotary
from mova.models.tower import AudioTower, VideoTower

CPU = torch.device("cpu")


@pytest.fixture
def video(read_record):
    record = read_record("video_dit")
    tower = VideoTower(**record.settings["config"]).eval()
    tower.load_state_dict(record.weights(), strict=True)
    return record, tower


@pytest.fixture
def audio(read_record):
    record = read_record("audio_dit_dac")
    tower = AudioTower(**record.settings["config"]).eval()
    tower.load_state_dict(record.weights(), strict=True)
    return record, tower


def _inputs(record):
    return record.tensors["input.latents"], record.tensors["input.timestep"], record.tensors["input.context"]


def test_video_tower_gives_the_recorded_velocity_for_every_sample_of_a_batch(video):
    record, tower = video
    record.assert_close(tower(*_inputs(record)), "output.per_sample")


def test_audio_tower_gives_the_recorded_velocity_for_every_sample_of_a_batch(audio):
    record, tower = audio
    record.assert_close(tower(*_inputs(record)), "output.per_sample")


def test_video_tower_embeds_as_recorded(video):
    record, tower = video
    inputs = tower.prepare(*_inputs(record))
    assert inputs.grid == tuple(record.settings["grid_after_patch"])
    record.assert_close(inputs.tokens, "intermediate.patch_tokens")
    record.assert_close(inputs.contexts[0], "intermediate.text_embedding")
    record.assert_close(inputs.time_embedding, "intermediate.time_embedding")
    record.assert_close(inputs.time_modulation, "intermediate.time_projection")


def test_audio_tower_embeds_as_recorded(audio):
    record, tower = audio
    inputs = tower.prepare(*_inputs(record))
    record.assert_close(inputs.tokens, "intermediate.patch_tokens")
    record.assert_close(inputs.contexts[0], "intermediate.text_embedding")
    record.assert_close(inputs.time_modulation, "intermediate.time_projection")
    first = tower.blocks[0](inputs.tokens, inputs.contexts[0], inputs.time_modulation, inputs.rotary)
    record.assert_close(first, "intermediate.after_block0")


def test_one_block_gives_the_recorded_sublayers(video):
    record, tower = video
    inputs, block = tower.prepare(*_inputs(record)), tower.blocks[0]
    x = record.tensors["block0.input_x"]
    record.assert_close(block.self_attn(x, rotary=inputs.rotary), "block0.self_attn_output")
    record.assert_close(block.cross_attn(x, inputs.contexts[0]), "block0.cross_attn_output")
    record.assert_close(block(x, inputs.contexts[0], inputs.time_modulation, inputs.rotary), "block0.output")


def test_timestep_embedding_is_the_recorded_one(video):
    record, _ = video
    recorded = record.tensors["sinusoidal.embedding"]
    record.assert_close(
        timestep_embedding(record.tensors["sinusoidal.timesteps"], recorded.shape[1]), "sinusoidal.embedding"
    )


def test_position_tables_are_the_recorded_ones_to_float32(video, audio):
    video_record, video_tower = video
    table = video_rotary(tuple(video_record.settings["rope_table_grid"]), video_tower.head_dim, CPU)
    recorded = video_record.tensors["rope_table.grid"].float()
    torch.testing.assert_close(torch.stack(table, dim=-1), recorded, atol=1e-7, rtol=0)

    audio_record, audio_tower = audio
    far = audio_record.tensors["rope_table.far_positions"]
    table = audio_rotary(int(far.max()) + 1, audio_tower.head_dim, CPU)
    recorded = audio_record.tensors["rope_table.far_values"].float()
    torch.testing.assert_close(torch.stack(table, dim=-1)[far, 0], recorded, atol=1e-7, rtol=0)
    first = audio_record.tensors["rope_table.first64"].float()
    torch.testing.assert_close(torch.stack(table, dim=-1)[:64, 0], first, atol=1e-7, rtol=0)
