"""The published scheduler, recorded from the official MOVA implementation (commit 595a976): same tables and steps."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from mova.diffusion.denoise import denoise
from mova.diffusion.flow import clean_from_velocity, interpolate, velocity_target
from mova.diffusion.schedule import (
    PairedFlowMatchScheduler,
    PairedSchedule,
    bell_weights,
    exponential_mu,
    nearest_sigmas,
)
from mova.types import LatentPair, Velocities

RECORDS = Path(__file__).parent / "records"
META = json.loads((RECORDS / "scheduler.json").read_text())
RECORD = load_file(RECORDS / "scheduler.safetensors")
ATOL = META["tolerance"]["suggested_atol"]
RTOL = META["tolerance"]["suggested_rtol"]
TIMESTEP_ATOL = META["tolerance"]["timesteps_suggested_atol"]

SETTINGS = sorted(META["settings"])
PAIRS = sorted(META["pair_settings"])
TRAJECTORIES = sorted(META["trajectories"])


def assert_recorded(mine: torch.Tensor, key: str, atol: float = ATOL) -> None:
    torch.testing.assert_close(mine, RECORD[key], atol=atol, rtol=RTOL, msg=lambda text: f"{key}: {text}")


def assert_looked_up(mine: torch.Tensor, key: str, timesteps: torch.Tensor) -> None:
    """Compare looked-up sigmas; two table entries exactly as far from the timestep are both right."""
    recorded = RECORD[key]
    is_tie = ((mine * 1000 - timesteps).abs() - (recorded * 1000 - timesteps).abs()).abs() < TIMESTEP_ATOL
    is_equal = torch.isclose(mine, recorded, atol=ATOL, rtol=RTOL)
    assert (is_equal | is_tie).all(), f"{key}: {mine} against {recorded}"
    assert (~is_equal).sum() <= 1, f"{key}: more than one tie"


def current_schedule(name: str) -> PairedSchedule:
    """The inference table that the record's look-ups used: after set_timesteps, or that of the constructor."""
    setting = META["settings"][name]
    config, arguments = dict(setting["constructor"]), dict(setting["set_timesteps"] or {})
    if "dynamic_shift_len" in arguments:
        config["exponential_shift_mu"] = exponential_mu(arguments["dynamic_shift_len"])
    scheduler = PairedFlowMatchScheduler(**config)
    if not arguments:
        return scheduler.schedule
    shift, strength = arguments.get("shift"), arguments.get("denoising_strength", 1.0)
    return scheduler.make_schedule(
        arguments["num_inference_steps"],
        video_shift=shift,
        audio_shift=shift,
        video_strength=strength,
        audio_strength=strength,
    )


def recorded_scheduler(name: str, group: str = "settings") -> PairedFlowMatchScheduler:
    return PairedFlowMatchScheduler(**META[group][name]["constructor"])


@pytest.mark.parametrize("name", SETTINGS)
def test_tables_are_the_recorded_ones(name: str):
    scheduler = recorded_scheduler(name)
    assert_recorded(scheduler.video_sigmas[:-1], f"{name}.ctor.sigmas")
    assert_recorded(scheduler.timesteps[:, 1], f"{name}.ctor.timesteps", TIMESTEP_ATOL)
    table = scheduler.sigma_column(1000)
    assert_recorded(table.float(), f"{name}.train_sigmas")
    assert_recorded((table * 1000).float(), f"{name}.train_timesteps", TIMESTEP_ATOL)
    if f"{name}.sigmas" in RECORD:
        schedule = current_schedule(name)
        assert_recorded(schedule.audio_sigmas[:-1], f"{name}.sigmas")
        pairs = torch.stack([schedule.video_timesteps, schedule.audio_timesteps], dim=1)
        assert_recorded(pairs, f"{name}.pairs", TIMESTEP_ATOL)


@pytest.mark.parametrize("name", SETTINGS)
def test_nearest_look_up_is_the_recorded_one(name: str):
    queries = RECORD[f"{name}.query_timesteps"]
    sigmas = recorded_scheduler(name).nearest_training_sigmas(queries)
    assert_looked_up(sigmas, f"{name}.timestep_to_sigma", queries)


@pytest.mark.parametrize("name", SETTINGS)
def test_noising_and_single_steps_are_the_recorded_ones(name: str):
    schedule = current_schedule(name)
    sample, noise, timesteps = (RECORD[f"{name}.add_noise.{part}"] for part in ("sample", "noise", "timesteps"))
    starts = schedule.video_sigmas[:-1]
    sigmas = nearest_sigmas(timesteps, schedule.video_timesteps, starts)
    samples, noises = sample.expand(4, *sample.shape), noise.expand(4, *noise.shape)
    assert_recorded(interpolate(samples, noises, sigmas), f"{name}.add_noise.output")
    assert_recorded(velocity_target(sample, noise), f"{name}.training_target")

    # The record stepped once from the table entry nearest to each timestep, with the noise as the velocity.
    ends = nearest_sigmas(timesteps, schedule.video_timesteps, schedule.video_sigmas[1:])
    assert_recorded(samples + noises * (ends - sigmas).view(4, 1, 1, 1), f"{name}.step.output")

    # The recorded velocity leads from the sample back to the "noise" that it was computed from. It was divided by
    # sigma, here it is multiplied again: that magnifies the rounding of a small sigma.
    velocities, is_defined = RECORD[f"{name}.return_to_timestep.output"], sigmas > 0
    back = clean_from_velocity(samples, velocities, sigmas)
    torch.testing.assert_close(back[is_defined], noises[is_defined], atol=5 * ATOL, rtol=RTOL)


def test_training_weights_are_the_recorded_ones():
    schedule = current_schedule("set6")
    weights = bell_weights(schedule.video_timesteps)
    assert_recorded(weights, "set6.training_weights_all")
    assert weights.mean().item() == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("name", PAIRS)
def test_separate_shifts_give_the_recorded_pairs(name: str):
    setting, scheduler = META["pair_settings"][name], recorded_scheduler(name, "pair_settings")
    steps, dual = setting["set_timesteps"]["num_inference_steps"], setting["postprocess_kwargs"]
    arguments = {
        "video_shift": dual.get("visual_shift"),
        "audio_shift": dual.get("audio_shift"),
        "audio_strength": dual.get("audio_denoising_strength", 1.0),
    }
    exact = scheduler.make_schedule(steps, **arguments)
    assert_recorded(torch.stack([exact.video_timesteps, exact.audio_timesteps], 1), f"{name}.timesteps", TIMESTEP_ATOL)
    assert_recorded(torch.stack([exact.video_sigmas, exact.audio_sigmas], 1)[:-1], f"{name}.sigmas")

    nearest = scheduler.make_schedule(steps, **arguments, sigma_lookup="nearest")
    looked_up = torch.stack([nearest.video_sigmas, nearest.audio_sigmas], 1)[:-1]
    assert_looked_up(looked_up, f"{name}.sigma_lookup", RECORD[f"{name}.timesteps"])

    again = scheduler.make_schedule(steps + 3, **arguments)
    pairs = torch.stack([again.video_timesteps, again.audio_timesteps], 1)
    assert_recorded(pairs, f"{name}.timesteps_after_second_set_timesteps", TIMESTEP_ATOL)

    strength = setting["set_timesteps"].get("denoising_strength", 1.0)
    plain = scheduler.make_schedule(steps + 3, video_strength=strength, audio_strength=strength)
    pairs = torch.stack([plain.video_timesteps, plain.audio_timesteps], 1)
    assert_recorded(pairs, f"{name}.timesteps_after_reset", TIMESTEP_ATOL)


@pytest.mark.parametrize("name", TRAJECTORIES)
def test_nearest_look_up_follows_the_recorded_trajectories(name: str):
    setting, scheduler = META["trajectories"][name], recorded_scheduler(name, "trajectories")
    dual, shift = setting["dual_sigma_shift"] or {}, setting["set_timesteps"].get("shift")
    schedule = scheduler.make_schedule(
        setting["steps"],
        video_shift=dual.get("visual_shift", shift),
        audio_shift=dual.get("audio_shift", shift),
        sigma_lookup="nearest",
    )
    sigmas = torch.stack([schedule.video_sigmas, schedule.audio_sigmas], 1)[:-1]
    assert_looked_up(sigmas, f"{name}.sigma_used", RECORD[f"{name}.pairs"])

    # "video: 0.5*x, audio: -0.3*x": the velocity is this factor times the latents.
    video_factor, audio_factor = (
        float(part.split(":")[1].removesuffix("*x")) for part in setting["velocity"].split(",")
    )

    def predict(branches, latents, video_timestep, audio_timestep, expert):
        velocities = Velocities(video=video_factor * latents.video, audio=audio_factor * latents.audio)
        return [velocities] * len(branches)

    states: list[LatentPair] = []

    def keep(step, total, latents):
        states.append(latents)

    start = LatentPair(video=RECORD[f"{name}.video_start"], audio=RECORD[f"{name}.audio_start"])
    denoise(predict, start, schedule, on_step=keep)
    assert_recorded(torch.stack([state.video for state in states]), f"{name}.video_states")
    assert_recorded(torch.stack([state.audio for state in states]), f"{name}.audio_states")
