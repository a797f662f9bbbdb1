"""Which placement fits, what is said where none does, and the figures that plans rest on."""

import re
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode

from mova.errors import ConfigError
from mova.geometry import ClipGeometry
from mova.models.presets import mova_360p
from mova.plan.component_bytes import component_bytes
from mova.plan.memory import (
    GB,
    PLACEMENTS,
    USABLE_SHARE,
    Room,
    check_memory,
    choose_placement,
    decoding_bytes,
    denoising_bytes,
    encoding_bytes,
    next_placement,
    plan_memory,
    text_bytes,
)
from mova.plan.published import find_dims
from mova.train.plan.allocations import Allocations

DIMS = find_dims("mova-360p")


def clip(height=352, width=640, num_frames=193):
    return ClipGeometry(height, width, num_frames, 24.0, DIMS.codec)


def gpu(gigabytes, host=128):
    return Room(int(gigabytes * GB), int(host * GB), is_gpu=True)


def test_a_cpu_that_computes_in_bfloat16_needs_half_of_the_weights():
    whole, half = (plan_memory(DIMS, clip(), is_gpu=False, element_bytes=count)[0] for count in (None, 2))
    assert half.weights_bytes < 0.6 * whole.weights_bytes


def test_the_full_size_streams_through_a_gpu_of_14_gb_and_in_float8_through_40_gb_of_host_memory():
    by_name = {plan.placement: plan for plan in plan_memory(DIMS, clip(), is_gpu=True)}
    assert tuple(by_name) == PLACEMENTS
    assert by_name["stream"].total_bytes < 14 * GB
    quantized = {plan.placement: plan for plan in plan_memory(DIMS, clip(), is_gpu=True, quantization="float8")}
    assert quantized["stream"].host_bytes < 40 * GB
    # Two experts, audio tower and bridge, a byte for each weight of their large layers.
    assert quantized["stream"].host_bytes == pytest.approx(14.07e9 * 2 + 1.39e9 + 2.67e9, rel=0.01)


@pytest.mark.parametrize(
    ("gigabytes", "placement"), [(141, "resident"), (80, "phases"), (48, "phases"), (24, "stream"), (12, "stream")]
)
def test_the_fastest_placement_that_fits_is_chosen(gigabytes, placement):
    assert choose_placement(DIMS, clip(), gpu(gigabytes)).placement == placement


def test_the_second_expert_is_fetched_ahead_only_where_both_have_room():
    for gigabytes, is_ahead in ((80, True), (48, False), (24, False)):
        assert choose_placement(DIMS, clip(), gpu(gigabytes)).fetches_ahead is is_ahead
    (phases,) = (plan for plan in plan_memory(DIMS, clip(), is_gpu=True) if plan.placement == "phases")
    expert = component_bytes(DIMS, 2)["video_dit"].total
    assert phases.ahead.weights_bytes - phases.weights_bytes == expert
    assert (phases.fetches_ahead, phases.ahead.fetches_ahead) == (False, True)
    least = phases.ahead.total_bytes / USABLE_SHARE
    assert choose_placement(DIMS, clip(), gpu(least / GB + 0.01)).fetches_ahead
    assert not choose_placement(DIMS, clip(), gpu(least / GB - 0.01)).fetches_ahead
    assert all(plan.ahead is None for plan in plan_memory(DIMS, clip(), is_gpu=False))
    alone = replace(DIMS, num_experts=1)
    assert all(plan.ahead is None for plan in plan_memory(alone, clip(), is_gpu=True))


def test_a_host_that_cannot_hold_the_blocks_leaves_them_on_disk():
    assert choose_placement(DIMS, clip(), gpu(24, host=32)).placement == "disk"
    assert choose_placement(DIMS, clip(), gpu(24, host=40), quantization="float8").placement == "stream"
    assert choose_placement(DIMS, clip(), Room(int(24 * GB), int(24 * GB), is_gpu=False)).placement == "disk"


@pytest.mark.parametrize(
    ("room", "said"),
    [
        (gpu(10, host=128), r"memory=stream \(denoising\), got 10.0 GB of free GPU; what would fit: quantize=float8"),
        (gpu(8, host=2), r"what would fit: \d+ frames with memory=disk"),
        (gpu(4, host=8), r"what would fit: \d+x\d+, quantize=nf4 with memory=disk"),
        (
            Room(int(12 * GB), int(12 * GB), is_gpu=False),
            r"GB of free memory; what would fit: \d+ frames with memory=disk",
        ),
        (gpu(0.1), "no size of this model would fit"),
    ],
)
def test_where_nothing_fits_it_is_said_what_would(room, said):
    wanted = clip(num_frames=201) if room.device_bytes == 10 * GB else clip()
    with pytest.raises(ConfigError, match=said):
        choose_placement(DIMS, wanted, room)


@settings(max_examples=40, deadline=None)
@given(
    cells=st.tuples(st.integers(2, 60), st.integers(2, 60)),
    latent_frames=st.integers(1, 60),
    is_gpu=st.booleans(),
    method=st.sampled_from([None, "float8", "int8", "nf4"]),
)
def test_every_step_down_the_ladder_takes_no_more_on_the_device(cells, latent_frames, is_gpu, method):
    geometry = clip(16 * cells[0], 16 * cells[1], 1 + 4 * (latent_frames - 1))
    plans = plan_memory(DIMS, geometry, is_gpu=is_gpu, quantization=method)
    totals = [plan.total_bytes for plan in plans if plan.placement != "stream" or is_gpu]
    assert totals == sorted(totals, reverse=True)


def test_after_memory_has_run_out_the_ladder_goes_down_to_its_end():
    assert [next_placement(name, is_gpu=True) for name in PLACEMENTS] == ["phases", "stream", "disk", None]
    assert [next_placement(name, is_gpu=False) for name in PLACEMENTS] == ["phases", "disk", "disk", None]


def test_names_are_checked():
    check_memory("auto")
    with pytest.raises(ConfigError, match="got 'residnet'; nearest is resident"):
        check_memory("residnet")
    check_memory("auto", 4)
    with pytest.raises(ConfigError, match=r"memory must be resident .*, got 'disk' with 4; shard_weights"):
        check_memory("disk", 4)


@pytest.mark.parametrize(("shape", "dtype"), [((352, 640, 97), torch.bfloat16), ((176, 320, 49), torch.float32)])
def test_memory_of_denoising_is_what_the_real_forward_allocates(shape, dtype):
    from mova.kernels.text_cache import TextCache
    from mova.models.bridge import CrossModalBridge
    from mova.models.dual_tower import DualTower
    from mova.models.tower import AudioTower, VideoTower

    geometry, configs = clip(*shape), mova_360p()
    kept = ("time_embedding", "time_projection", "modulation", "norm3", "y_norm")
    with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
        torch.set_default_dtype(dtype)
        try:
            # Two blocks of full width: the peak is that of one.
            model = DualTower(
                VideoTower(**configs["video_dit"] | {"num_layers": 2}),
                AudioTower(**configs["audio_dit"] | {"num_layers": 2}),
                CrossModalBridge(**configs["dual_tower_bridge"] | {"visual_layers": 2, "audio_layers": 2}),
            )
        finally:
            torch.set_default_dtype(torch.float32)
        for name, parameter in model.named_parameters():
            if any(part in kept for part in name.split(".")):
                parameter.data = parameter.data.float()
        prompt = TextCache(torch.empty(1, 512, 4096, dtype=dtype))
        inputs = (
            torch.empty(1, 36, *geometry.video_latent_shape[1:]),
            torch.empty(1, *geometry.audio_latent_shape),
            torch.empty(1),
            torch.empty(1),
        )
        with Allocations() as counted, prompt.applied(model.video_tower, model.audio_tower) as embeds:
            model(*inputs, embeds, frame_rate=24.0)
    texts = prompt.size_bytes()
    planned = denoising_bytes(DIMS, geometry, dtype.itemsize)
    assert planned <= 1.15 * (counted.peak_bytes - texts)
    assert planned >= 0.98 * (counted.peak_bytes - texts)
    layers = 2 / 40 * DIMS.video.dim * 40 + 2 / 30 * DIMS.audio.dim * 30
    per_layer = text_bytes(DIMS, dtype.itemsize, 1) / (DIMS.video.dim * 40 + DIMS.audio.dim * 30)
    assert texts == pytest.approx(per_layer * layers)


@pytest.mark.slow
@pytest.mark.parametrize("bands", [1, 2, 4, 8])
def test_memory_of_the_autoencoder_on_a_gpu_is_what_it_allocates(bands):
    from diffusers import AutoencoderKLWan

    from mova.codecs.video import encode_video
    from mova.codecs.video_bands import decode_in_bands

    geometry = clip(num_frames=49)
    with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
        # Without the folding for CPUs its operations are those of a GPU.
        vae = AutoencoderKLWan.from_config(mova_360p()["video_vae"])
        latents = torch.empty(1, *geometry.video_latent_shape)
        with Allocations() as decoding:
            decode_in_bands(vae, latents, bands, output_device=torch.device("cpu"))
        with Allocations() as encoding:
            encode_video(vae, torch.empty(1, 3, geometry.num_frames, geometry.height, geometry.width))
    frames = 3 * geometry.num_frames * geometry.height * geometry.width * 4
    # Here the frames come home to the same memory.
    home = frames if bands > 1 else 0
    planned = decoding_bytes(DIMS, geometry, is_gpu=True, bands=bands)
    assert planned == pytest.approx(decoding.peak_bytes - home, rel=0.25)
    assert encoding_bytes(DIMS, geometry, is_gpu=True) == pytest.approx(encoding.peak_bytes + frames, rel=0.15)


@pytest.mark.parametrize("num_frames", [193, 4001, 100_001])
def test_the_longest_clip_that_fits_is_named(num_frames):
    """As a search four frames at a time would find it, but in a few steps."""
    room = gpu(8, host=2)
    with pytest.raises(ConfigError) as caught:
        choose_placement(DIMS, clip(num_frames=num_frames), room)
    longest = int(re.search(r"what would fit: (\d+) frames", str(caught.value))[1])
    assert choose_placement(DIMS, clip(num_frames=longest), room).placement == "disk"
    with pytest.raises(ConfigError):
        choose_placement(DIMS, clip(num_frames=longest + 4), room)
