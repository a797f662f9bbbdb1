"""The joint forward against the recorded one."""

from __future__ import annotations

import pytest

from mova.models.bridge import CrossModalBridge
from mova.models.dual_tower import DualTower
from mova.models.tower import AudioTower, VideoTower


@pytest.fixture
def recorded(read_record):
    record = read_record("step_full")
    config = record.settings["config"]
    parts = []
    for cls, name in ((VideoTower, "video_dit"), (AudioTower, "audio_dit"), (CrossModalBridge, "dual_tower_bridge")):
        part = cls(**config[name]).eval()
        part.load_state_dict(record.weights(name), strict=True)
        parts.append(part)
    return record, DualTower(*parts)


@pytest.mark.parametrize("run", [0, 1])
def test_joint_forward_gives_the_recorded_velocities(recorded, run):
    record, model = recorded
    given = record.tensors
    video_timestep = given[f"input{run}.timestep"]
    velocities = model(
        given["input.visual_latents"],
        given["input.audio_latents"],
        video_timestep,
        # The second run was recorded without a timestep of its own for the sound.
        given.get(f"input{run}.audio_timestep", video_timestep),
        given["input.context"],
        frame_rate=record.settings["video_fps"],
    )
    record.assert_close(velocities.video, f"output{run}.visual")
    record.assert_close(velocities.audio, f"output{run}.audio")
