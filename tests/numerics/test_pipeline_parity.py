"""The whole pipeline against the recorded run of the official one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mova.pipeline.load import load_pipeline

CHECKPOINT = Path(__file__).parent / "records" / "pipeline_checkpoint"
RUNS = ("cfg5", "cfg1")


@pytest.fixture(scope="module")
def pipe():
    pipeline = load_pipeline(CHECKPOINT)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.fixture
def record(read_record):
    return read_record("pipeline")


@pytest.fixture
def arguments(record):
    """Return a function that gives the recorded call in our words."""
    call = record.settings["call"]

    def of(run):
        return {
            "prompt": call["prompt"],
            "negative_prompt": call["negative_prompt"],
            "image": record.tensors["input.image_uint8"].numpy(),
            "height": call["height"],
            "width": call["width"],
            "num_frames": call["num_frames"],
            "frame_rate": call["video_fps"],
            "num_inference_steps": call["num_inference_steps"],
            "guidance_scale": call["runs"][run]["cfg_scale"],
            "latents": record.tensors["input.video_noise"],
            "audio_latents": record.tensors["input.audio_noise"],
            "sigma_lookup": "nearest",
        }

    return of


@pytest.mark.parametrize("batch_branches", [True, False])
@pytest.mark.parametrize("run", RUNS)
def test_latents_of_every_step_equal_the_recorded_ones(pipe, record, arguments, run, batch_branches):
    steps = []

    def keep(_, step, timestep, values):
        steps.append((timestep, values["latents"], values["audio_latents"]))

    result = pipe(**arguments(run), batch_branches=batch_branches, callback_on_step_end=keep, output_type="latent")
    record.assert_close(result.frames, f"output.{run}.final_video_latents")
    record.assert_close(result.audio, f"output.{run}.final_audio_latents")
    record.assert_close(torch.cat([video for _, video, _ in steps]), f"output.{run}.video_steps")
    record.assert_close(torch.cat([audio for _, _, audio in steps]), f"output.{run}.audio_steps")
    recorded_timesteps = record.tensors["input.pair_timesteps"][:, 0]
    torch.testing.assert_close(torch.tensor([timestep for timestep, *_ in steps]), recorded_timesteps)


@pytest.mark.parametrize("run", RUNS)
def test_decoded_picture_and_sound_equal_the_recorded_ones(pipe, record, arguments, run):
    clip = pipe(**arguments(run)).clip()
    recorded = record.tensors[f"output.{run}.video_frames_uint8"].numpy().astype(int)
    assert abs(clip.frames.astype(int) - recorded).max() <= 1
    # The official sound is not cut to the length of the picture; ours is: 9 frames at 24 per second, 48 kHz.
    record.tensors["cut sound"] = record.tensors[f"output.{run}.audio"][0, :, :18_000]
    record.assert_close(torch.from_numpy(clip.waveform), "cut sound")
    assert clip.waveform.shape == (1, 18_000)


@pytest.mark.parametrize("run", RUNS)
def test_each_expert_makes_the_recorded_calls(pipe, record, arguments, run):
    calls = []
    handles = [
        tower.head.register_forward_hook(lambda *_, number=number: calls.append(number))
        for number, tower in ((1, pipe.video_dit), (2, pipe.video_dit_2))
    ]
    try:
        pipe(**arguments(run), batch_branches=False, output_type="latent")
    finally:
        for handle in handles:
            handle.remove()
    assert calls == record.settings["expert_used_per_model_call"][run]


def test_exact_sigmas_give_the_same_where_the_table_holds_them(pipe, record, arguments):
    exact = pipe(**(arguments("cfg5") | {"sigma_lookup": "exact"}), output_type="latent")
    record.assert_close(exact.frames, "output.cfg5.final_video_latents")
