"""Paired schedules: exact sigmas, separate shifts, held modalities, refusals."""

import json
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mova.diffusion.schedule import PairedFlowMatchScheduler, bell_weights, exponential_mu
from mova.errors import ConfigError

PUBLISHED = {"shift": 5.0, "sigma_min": 0.0, "extra_one_step": True, "num_inference_steps": 50}


@pytest.fixture
def scheduler() -> PairedFlowMatchScheduler:
    return PairedFlowMatchScheduler(**PUBLISHED)


def test_sigmas_are_exact_and_end_clean(scheduler):
    sigmas = scheduler.make_schedule(10).video_sigmas
    times = [1 - step / 10 for step in range(11)]
    assert sigmas.tolist() == pytest.approx([5 * t / (1 + 4 * t) for t in times], abs=1e-7)
    assert sigmas.dtype == torch.float32
    assert sigmas.device.type == "cpu"


def test_shifts_of_the_modalities_are_independent(scheduler):
    plain, shifted = scheduler.make_schedule(8), scheduler.make_schedule(8, audio_shift=2.0)
    assert torch.equal(plain.video_sigmas, plain.audio_sigmas)
    assert torch.equal(shifted.video_sigmas, plain.video_sigmas)
    assert (shifted.audio_sigmas[1:-1] < plain.audio_sigmas[1:-1]).all()
    assert torch.equal(scheduler.make_schedule(8, video_shift=2.0).video_sigmas, shifted.audio_sigmas)


@settings(max_examples=40, deadline=None)
@given(steps=st.integers(1, 200), video_shift=st.floats(0.2, 12.0), audio_shift=st.floats(0.2, 12.0))
def test_every_schedule_falls_from_noise_to_clean(steps, video_shift, audio_shift):
    schedule = PairedFlowMatchScheduler(**PUBLISHED).make_schedule(
        steps, video_shift=video_shift, audio_shift=audio_shift
    )
    for sigmas, timesteps in (
        (schedule.video_sigmas, schedule.video_timesteps),
        (schedule.audio_sigmas, schedule.audio_timesteps),
    ):
        assert sigmas[0] == 1
        assert sigmas[-1] == 0
        assert (sigmas.diff() < 0).all()
        torch.testing.assert_close(timesteps, sigmas[:-1] * 1000)
    assert schedule.num_inference_steps == steps


def test_nearest_look_up_changes_sigmas_but_not_timesteps(scheduler):
    exact = scheduler.make_schedule(30, audio_shift=3.0)
    nearest = scheduler.make_schedule(30, audio_shift=3.0, sigma_lookup="nearest")
    assert torch.equal(exact.audio_timesteps, nearest.audio_timesteps)
    error = (exact.audio_sigmas - nearest.audio_sigmas).abs().max().item()
    assert 1e-5 < error < 2.5e-3  # half the widest gap of the training table
    table = scheduler.sigma_column(1000).float()
    assert torch.isin(nearest.audio_sigmas[:-1], table).all()


@pytest.mark.parametrize("lookup", ["exact", "nearest"])
def test_held_modality_is_clean_at_every_step(scheduler, lookup):
    schedule = scheduler.make_schedule(6, hold_video=True, sigma_lookup=lookup)
    assert not schedule.video_sigmas.any()
    assert not schedule.video_timesteps.any()
    free = scheduler.make_schedule(6, sigma_lookup=lookup)
    assert torch.equal(schedule.audio_sigmas, free.audio_sigmas)
    assert not scheduler.make_schedule(6, hold_audio=True).audio_sigmas.any()


@pytest.mark.parametrize("lookup", ["exact", "nearest"])
def test_a_held_modality_may_have_a_share_of_the_noise(scheduler, lookup):
    free = scheduler.make_schedule(6, audio_shift=2.0)
    held = scheduler.make_schedule(6, audio_shift=2.0, hold_audio=True, hold_noise=0.25, sigma_lookup=lookup)
    assert torch.equal(held.audio_timesteps, 0.25 * free.audio_timesteps)
    close = {"atol": 0.0 if lookup == "exact" else 2e-3, "rtol": 1e-6}
    torch.testing.assert_close(held.audio_sigmas[:-1], 0.25 * free.audio_sigmas[:-1], **close)
    assert held.audio_sigmas[-1] == 0
    assert (free.is_held, held.is_held) == ((False, False), (False, True))
    # Of what is made nothing changes, and all of the noise is the schedule of what is made.
    assert torch.equal(held.video_timesteps, free.video_timesteps)
    whole = scheduler.make_schedule(6, audio_shift=2.0, hold_audio=True, hold_noise=1.0)
    assert torch.equal(whole.audio_sigmas, free.audio_sigmas)


def test_strength_starts_between_clean_and_noise(scheduler):
    schedule = scheduler.make_schedule(10, video_strength=0.5)
    assert schedule.video_sigmas[0].item() == pytest.approx(5 * 0.5 / 3)
    assert schedule.audio_sigmas[0] == 1
    assert len(schedule.video_sigmas) == 11


def test_schedules_do_not_depend_on_earlier_ones(scheduler):
    first = scheduler.make_schedule(7)
    scheduler.set_timesteps(12, video_shift=2.0, audio_shift=9.0)
    assert torch.equal(scheduler.make_schedule(7).audio_sigmas, first.audio_sigmas)
    scheduler.set_timesteps(7)
    assert torch.equal(scheduler.video_sigmas, first.video_sigmas)
    assert torch.equal(scheduler.audio_sigmas, first.audio_sigmas)


def test_set_timesteps_puts_pairs_on_the_device_and_keeps_sigmas_on_the_cpu(scheduler):
    scheduler.set_timesteps(4, audio_shift=1.0, device="meta")
    assert scheduler.timesteps.device.type == "meta"
    assert scheduler.timesteps.shape == (4, 2)
    assert scheduler.audio_sigmas.tolist() == pytest.approx([1.0, 0.75, 0.5, 0.25, 0.0])


@pytest.mark.parametrize("direction", ["reverse_sigmas", "inverse_timesteps"])
def test_reversed_schedules_rise_to_noise(direction):
    sigmas = PairedFlowMatchScheduler(shift=2.0, **{direction: True}).make_schedule(5).video_sigmas
    assert (sigmas.diff()[:-1] > 0).all()
    assert sigmas[-1] == 1


def test_exponential_shift_is_a_shift_of_both_modalities():
    mu = exponential_mu(4096)
    assert exponential_mu(256) == pytest.approx(0.5)
    assert exponential_mu(8192) == pytest.approx(0.9)
    schedule = PairedFlowMatchScheduler(exponential_shift=True, exponential_shift_mu=mu).make_schedule(9)
    plain = PairedFlowMatchScheduler(shift=2.718281828459045**mu).make_schedule(9)
    torch.testing.assert_close(schedule.audio_sigmas, plain.video_sigmas)


def test_terminal_shift_ends_the_column_at_its_value():
    sigmas = PairedFlowMatchScheduler(shift=3.0, shift_terminal=0.1).make_schedule(6).video_sigmas
    assert sigmas[-2].item() == pytest.approx(0.1)
    assert sigmas[0] == 1


def test_bell_weights_have_mean_one_and_a_zero(scheduler):
    weights = bell_weights(scheduler.make_schedule(100).video_timesteps)
    assert weights.mean().item() == pytest.approx(1.0)
    assert weights.min() == 0


def test_configuration_survives_saving_and_reads_the_published_file(tmp_path):
    scheduler = PairedFlowMatchScheduler(**PUBLISHED)
    scheduler.save_pretrained(tmp_path)
    path = tmp_path / "scheduler_config.json"
    published = json.loads(path.read_text()) | {"_class_name": "FlowMatchPairScheduler", "shift": 4.0}
    path.write_text(json.dumps(published))
    loaded = PairedFlowMatchScheduler.from_pretrained(tmp_path)
    public = {key: value for key, value in scheduler.config.items() if not key.startswith("_")}
    assert {key: loaded.config[key] for key in public} == public | {"shift": 4.0}
    assert loaded.make_schedule(5).video_sigmas[1] < scheduler.make_schedule(5).video_sigmas[1]


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        ({"num_inference_steps": 0}, "from 1 to 1000, got 0; nearest is 1$"),
        ({"num_inference_steps": -3}, "got -3; nearest is 1$"),
        ({"num_inference_steps": 5000}, "got 5000; nearest is 1000$"),
        ({"num_inference_steps": 7.6}, "got 7.6; nearest is 8$"),
        ({"num_inference_steps": float("nan")}, "got nan; nearest is 1000"),
        ({"num_inference_steps": True}, "got True"),
        ({"video_shift": 0.0}, "video_shift must be positive and finite, got 0.0"),
        ({"audio_shift": float("inf")}, "audio_shift must be positive and finite, got inf"),
        ({"video_strength": 0.0}, r"video_strength must lie in \(0, 1\], got 0.0"),
        ({"audio_strength": 1.5}, "got 1.5; nearest is 1.0"),
        ({"hold_video": True, "hold_audio": True}, "at most one modality"),
        ({"hold_video": True, "video_shift": 3.0}, "video is held clean.*got 3.0 and 1.0"),
        ({"hold_audio": True, "audio_strength": 0.5}, "audio is held clean.*got None and 0.5"),
        ({"hold_audio": True, "hold_noise": 1.5}, r"hold_noise must lie in \[0, 1\], got 1.5; nearest is 1"),
        ({"sigma_lookup": "closest"}, "must be one of .*exact.*nearest.*got 'closest'"),
    ],
)
def test_wrong_arguments_are_refused(scheduler, arguments, rule):
    with pytest.raises(ConfigError, match=rule):
        scheduler.make_schedule(**{"num_inference_steps": 10, **arguments})


@pytest.mark.parametrize(
    ("config", "rule"),
    [
        ({"sigma_min": 1.0}, "sigma_min < sigma_max"),
        ({"sigma_max": 1.2}, "sigma_max <= 1"),
        ({"shift": -1.0}, "shift must be positive"),
        ({"exponential_shift": True}, "needs exponential_shift_mu"),
        ({"shift_terminal": 1.0}, r"shift_terminal must lie in \[0, 1\)"),
        ({"shift_terminal": 0.1, "num_inference_steps": 1}, "at least 2 steps"),
    ],
)
def test_wrong_configurations_are_refused(config, rule):
    with pytest.raises(ConfigError, match=rule):
        PairedFlowMatchScheduler(**config)


def test_shift_arguments_are_refused_where_they_would_do_nothing():
    scheduler = PairedFlowMatchScheduler(exponential_shift=True, exponential_shift_mu=0.8)
    with pytest.raises(ConfigError, match="exponential_shift fixes the shift"):
        scheduler.make_schedule(5, audio_shift=3.0)


def test_tables_of_different_lengths_are_refused(scheduler):
    schedule = scheduler.make_schedule(5)
    with pytest.raises(ConfigError, match=r"5 steps needs audio_sigmas of shape \(6,\), got \(5,\)"):
        replace(schedule, audio_sigmas=schedule.audio_sigmas[1:])
