"""Costs against the figures of the survey of peers (section 2b) and against the real guidance and networks."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from mova.diffusion.guidance import Guidance
from mova.errors import ConfigError
from mova.geometry import ClipGeometry
from mova.models.bridge import CrossModalBridge
from mova.models.dual_tower import DualTower
from mova.models.presets import mova_360p, tiny
from mova.models.tower import AudioTower, VideoTower
from mova.plan.cost import (
    calls_per_step,
    forward_cost,
    in_words,
    make_plan,
    seconds,
    time_estimates,
)
from mova.plan.gpus import find_gpu
from mova.plan.memory import decoding_bytes
from mova.plan.published import find_dims
from mova.plan.report import parts
from mova.weights.dims import dims_from_configs

SIZES = {"mova-360p": (352, 640), "mova-720p": (720, 1280)}
ONE_EXPERT = ("video_dit", "audio_dit", "dual_tower_bridge")

# Name of the part, TFLOP per forward at 360p and at 720p, as printed.
TABLE = [
    ("video self-attention", "1523.2", "25491.0"),
    ("video q, k, v, o", "361.7", "1479.8"),
    ("video text cross-attention", "201.1", "816.0"),
    ("video feed-forward", "488.3", "1997.7"),
    ("video tower", "2574.3", "29784.4"),
    ("audio tower", "1.22", "1.22"),
    ("bridge audio to video, linears", "136.0", "555.3"),
    ("bridge audio to video, attention", "10.7", "43.7"),
    ("bridge video to audio, linears", "40.8", "166.6"),
    ("bridge video to audio, attention", "3.2", "13.1"),
    ("total", "2766.4", "30564.7"),
]


def published_plan(model, guidance_scale=5.0, modality_scale=1.0):
    dims = find_dims(model)
    height, width = SIZES[model]
    geometry = ClipGeometry(height=height, width=width, num_frames=193, codec=dims.codec)
    return make_plan(dims, geometry, num_steps=50, guidance_scale=guidance_scale, modality_scale=modality_scale)


def rounded_like(value, printed):
    return f"{value:.{len(printed.partition('.')[2])}f}"


@pytest.mark.parametrize(("part", "at_360p", "at_720p"), TABLE)
def test_every_part_of_a_forward_agrees_with_the_published_table(part, at_360p, at_720p):
    for model, printed in (("mova-360p", at_360p), ("mova-720p", at_720p)):
        assert rounded_like(parts(published_plan(model))[part] / 1e12, printed) == printed


@pytest.mark.parametrize(("model", "printed"), [("mova-360p", 190.7), ("mova-720p", 778.6)])
def test_the_whole_bridge_agrees_with_the_published_table(model, printed):
    # The table's 778.6 was rounded down; its own addends give 778.7.
    assert parts(published_plan(model))["bridge"] / 1e12 == pytest.approx(printed, abs=0.06)


@pytest.mark.parametrize(
    ("part", "share_360p", "share_720p"),
    [("video self-attention", 55.1, 83.4), ("video feed-forward", 17.7, 6.5), ("bridge", 6.9, 2.5)],
)
def test_shares_agree_with_the_published_table(part, share_360p, share_720p):
    for model, share in (("mova-360p", share_360p), ("mova-720p", share_720p)):
        made = parts(published_plan(model))
        assert 100 * made[part] / made["total"] == pytest.approx(share, abs=0.06)


@pytest.mark.parametrize(
    ("model", "modality_scale", "printed"),
    [
        ("mova-360p", 1.0, "5532.7"),
        ("mova-360p", 3.5, "8299.1"),
        ("mova-720p", 1.0, "61129.5"),
        ("mova-720p", 3.5, "91694.2"),
    ],
)
def test_a_step_agrees_with_the_published_table(model, modality_scale, printed):
    made = published_plan(model, modality_scale=modality_scale)
    # The table counts the bridge in all three forwards of dual guidance, though the third runs without it.
    calls = made.calls.total
    assert rounded_like(calls * made.forward.total / 1e12, printed) == printed


@pytest.mark.parametrize(
    ("tflops", "model", "per_forward", "per_step", "minutes"),
    [
        (989.5, "mova-360p", "2.80", "5.59", "4.7"),
        (790, "mova-360p", "3.50", "7.00", "5.8"),
        (600, "mova-360p", "4.61", "9.22", "7.7"),
        (989.5, "mova-720p", "30.9", "61.8", "51.5"),
        (790, "mova-720p", "38.7", "77.4", "64.5"),
        (600, "mova-720p", "50.9", "101.9", "84.9"),
    ],
)
def test_time_bounds_agree_with_the_published_table(tflops, model, per_forward, per_step, minutes):
    made = published_plan(model)
    assert rounded_like(seconds(made.forward.total, tflops), per_forward) == per_forward
    assert rounded_like(seconds(made.step_operations, tflops), per_step) == per_step
    assert rounded_like(seconds(made.total_operations, tflops) / 60, minutes) == minutes


def test_the_rate_of_a_published_run_gives_its_seconds_per_step():
    made = published_plan("mova-360p")
    published = list(time_estimates(made, find_gpu("h100")).values())[1]
    assert published / made.num_steps == pytest.approx(9.0, abs=0.05)


def test_no_estimate_beats_the_data_sheet():
    made = published_plan("mova-720p")
    for name in ("h100", "h200", "a100", "l40s", "rtx-4090"):
        lower_bound, expected = time_estimates(made, find_gpu(name)).values()
        assert expected > lower_bound


@settings(max_examples=60, deadline=None)
@given(text=st.sampled_from([0.0, 1.0, 2.5, 5.0]), bridge=st.sampled_from([0.0, 1.0, 2.5, 5.0, 3.5]))
def test_forwards_per_step_are_those_of_the_real_guidance(text, bridge):
    branches = Guidance(guidance_scale=text, modality_scale=bridge).at(0.5, 0.5).branches
    calls = calls_per_step(text, bridge)
    assert calls.with_bridge == sum(branch.bridge for branch in branches)
    assert calls.without_bridge == sum(not branch.bridge for branch in branches)


def test_the_negative_forward_without_bridge_is_cheaper():
    equal_scales = published_plan("mova-360p", guidance_scale=3.5, modality_scale=3.5)
    text_only = published_plan("mova-360p")
    assert equal_scales.calls.total == text_only.calls.total == 2
    saved = text_only.step_operations - equal_scales.step_operations
    assert saved == text_only.forward.bridge.total


def test_one_expert_at_a_time_needs_less_than_everything_resident():
    resident, phases = published_plan("mova-360p").memory[:2]
    assert (resident.placement, phases.placement) == ("resident", "phases")
    assert phases.total_bytes < resident.total_bytes
    # One expert, the audio tower and the bridge in bfloat16; 1.5 % are parts that stay in float32.
    assert phases.weights_bytes == pytest.approx(2 * (14_288_901_184 + 1_419_193_472 + 2_659_737_600), rel=0.015)


@pytest.mark.parametrize(
    ("configs", "size", "num_frames", "measured_mb"),
    [
        (tiny(), (256, 256), 49, 223),
        (tiny(), (128, 128), 49, 84),
        (mova_360p(), (176, 320), 9, 1988),
        (mova_360p(), (96, 160), 9, 667),
    ],
)
def test_memory_of_decoding_is_near_what_was_measured(configs, size, num_frames, measured_mb):
    dims = dims_from_configs("measured", configs, {})
    geometry = ClipGeometry(*size, num_frames, codec=dims.codec)
    assert decoding_bytes(dims, geometry) == pytest.approx(measured_mb * 1e6, rel=0.31)


@pytest.mark.parametrize(("steps", "scale"), [(0, 5.0), (-3, 5.0), (50, -1.0), (50, float("nan"))])
def test_a_plan_refuses_values_that_no_run_could_have(steps, scale):
    dims = find_dims("mova-360p")
    geometry = ClipGeometry(height=352, width=640, num_frames=193, codec=dims.codec)
    with pytest.raises(ConfigError, match=r"steps must .*got|guidance_scale must be finite"):
        make_plan(dims, geometry, num_steps=steps, guidance_scale=scale, modality_scale=1.0)


def test_operations_are_those_that_torch_counts_in_the_real_networks():
    configs = tiny()
    dims = dims_from_configs("tiny", configs, {}, num_prompt_tokens=24)
    geometry = ClipGeometry(height=64, width=96, num_frames=17, codec=dims.codec)
    model = DualTower(
        VideoTower(**configs["video_dit"]),
        AudioTower(**configs["audio_dit"]),
        CrossModalBridge(**configs["dual_tower_bridge"]),
    )
    video = torch.zeros(1, configs["video_dit"]["in_dim"], *geometry.video_latent_shape[1:])
    audio = torch.zeros(1, *geometry.audio_latent_shape)
    prompt, timestep = torch.zeros(1, 24, configs["video_dit"]["text_dim"]), torch.full((1,), 500.0)
    # The counter does not know the CPU's fused attention; the plain form has the same products.
    with FlopCounterMode(display=False) as counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        model(video, audio, timestep, timestep, prompt, frame_rate=24.0)
    assert counter.get_total_flops() == pytest.approx(forward_cost(dims, geometry).total, rel=1e-3)
    assert sum(p.numel() for p in model.parameters()) == sum(dims.parameters[part] for part in ONE_EXPERT)


@pytest.mark.parametrize(
    ("duration_s", "words"),
    [
        (0.2, "less than a second"),
        (1.0, "about 1 second"),
        (40.4, "about 40 seconds"),
        (731, "about 12 minutes"),
        (150, "about 2.5 minutes"),
        (6419, "about 1.8 hours"),
        (100_000, "about 28 hours"),
        (20 * 86400, "about 20 days"),
    ],
)
def test_a_duration_is_said_in_two_digits(duration_s, words):
    assert in_words(duration_s) == words
