"""Offloaded weights: the same clips as with all of them on the device, and as little of them there as was planned."""

from dataclasses import replace

import pytest
import torch

from mova.distributed.mesh import Parallel
from mova.errors import ConfigError
from mova.geometry import ClipGeometry
from mova.names import COMPONENTS, SHIPPED_MODELS
from mova.pipeline.load import load_pipeline
from mova.pipeline.runtime import Runtime
from mova.plan.component_bytes import component_bytes
from mova.plan.memory import plan_memory
from mova.weights.dims import dims_from_directory
from mova.weights.rewrite import convert_weights

PLACEMENTS = ("phases", "stream", "disk")


def load(folder, placement, **options):
    pipeline = load_pipeline(folder, runtime=Runtime(memory=placement), **options)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def assert_same(found, expected):
    """Equal up to the order of sums, which kernels choose by where in memory a weight begins."""
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=2e-5)


def clip(pipeline, short, **changes):
    result = pipeline("a dog", **(short | {"seed": 0, "output_type": "pt", "guidance_scale": 2.0} | changes))
    return torch.as_tensor(result.frames), torch.as_tensor(result.audio)


@pytest.fixture(scope="module")
def expected(pipe, short):
    return clip(pipe, short)


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_a_clip_is_the_same_wherever_the_weights_rest(checkpoint, short, expected, placement):
    pipeline = load(checkpoint, placement)
    assert pipeline.placement_name == placement
    for _ in range(2):
        found = clip(pipeline, short)
        assert_same(found, expected)
        assert pipeline.placement.resident_bytes() == 0


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_given_sound_and_films_are_encoded_in_their_phase(checkpoint, pipe, short, placement):
    pipeline = load(checkpoint, placement)
    waveform = torch.linspace(-0.5, 0.5, 12_000).numpy()
    assert_same(clip(pipeline, short, audio=waveform), clip(pipe, short, audio=waveform))


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("model", ["mova-tiny", "checkpoint"])
def test_the_weights_on_the_device_are_those_that_were_planned(checkpoint, short, model, placement):
    folder = SHIPPED_MODELS / model if model == "mova-tiny" else checkpoint
    pipeline = load(folder, placement)
    clip(pipeline, short | ({"height": 64, "width": 64} if model == "mova-tiny" else {}))
    # The CPU computes in float32.
    parts = component_bytes(dims_from_directory(folder), 4)
    towers = sum(
        parts[name].total if placement == "phases" else parts[name].outside + parts[name].slots
        for name in COMPONENTS
        if name != "video_dit_2"
    )
    text = parts["text_encoder"]
    encoding = text.total if placement == "phases" else text.outside + text.slots
    autoencoders = parts["video_vae"].total + parts["audio_vae"].total
    # Slots begin at multiples of 256 bytes, which is much for tensors of a few.
    assert pipeline.placement.peak_weights_bytes == pytest.approx(max(towers, encoding, autoencoders), rel=0.12)


def test_only_streamed_blocks_take_host_memory_of_their_own(checkpoint):
    store = {placement: load(checkpoint, placement).placement.host_bytes() for placement in PLACEMENTS}
    assert store["phases"] == store["disk"] == 0
    dims = dims_from_directory(checkpoint)
    plan = plan_memory(dims, ClipGeometry(32, 32, 5, 24.0, dims.codec), is_gpu=True)[2]
    assert plan.placement == "stream"
    # The recorded weights are in float32, a plan for a GPU counts bfloat16.
    assert store["stream"] == pytest.approx(2 * plan.host_bytes, rel=0.12)


def test_one_expert_is_there_at_a_time_and_changes_once(checkpoint, short):
    pipeline = load(checkpoint, "phases")
    offloaded = pipeline.placement._offloaded
    seen = []

    def look(_, step, *__):
        seen.append(tuple(name for name in ("text_encoder", *COMPONENTS, "video_vae") if offloaded[name].is_onloaded))

    clip(pipeline, short, callback_on_step_end=look)
    shared = ("audio_dit", "dual_tower_bridge")
    assert set(seen) == {("video_dit", *shared), ("video_dit_2", *shared)}
    assert sorted(seen) == seen
    assert not any(weights.is_onloaded for weights in offloaded.values())


def fetching_ahead(folder):
    pipeline = load(folder, "phases")
    pipeline.placement.plan = replace(pipeline.placement.plan, fetches_ahead=True)
    return pipeline


def test_the_second_expert_is_fetched_while_the_first_one_still_computes(checkpoint, short, expected):
    pipeline = fetching_ahead(checkpoint)
    offloaded = pipeline.placement._offloaded
    parts = component_bytes(dims_from_directory(checkpoint), 4)
    both = sum(parts[name].total for name in COMPONENTS)
    for _ in range(2):
        seen = []

        def look(_, step, *__, seen=seen):
            first, second = (offloaded[name] for name in ("video_dit", "video_dit_2"))
            seen.append((first.is_onloaded, first.is_fetched_ahead, second.is_onloaded, second.is_fetched_ahead))
            if seen[-1][3]:
                assert pipeline.placement.resident_bytes() == pytest.approx(both, rel=0.12)

        found = clip(pipeline, short, callback_on_step_end=look)
        assert_same(found, expected)
        assert (True, False, False, True) in seen, "both are there before the switch"
        assert seen[-1] == (False, False, True, False)
        assert sorted(seen, reverse=True) == seen
        assert pipeline.placement.resident_bytes() == 0
    highest = max(both, parts["text_encoder"].total, parts["video_vae"].total + parts["audio_vae"].total)
    assert pipeline.placement.peak_weights_bytes == pytest.approx(highest, rel=0.12)


def test_a_run_that_breaks_off_before_the_switch_gives_up_what_it_fetched(checkpoint, short, expected):
    pipeline = fetching_ahead(checkpoint)

    def stop(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        clip(pipeline, short, callback_on_step_end=stop)
    assert pipeline.placement.resident_bytes() == 0
    assert_same(clip(pipeline, short), expected)


def test_far_from_the_switch_nothing_is_fetched_ahead(checkpoint, short, monkeypatch):
    from mova.offload import placement

    monkeypatch.setattr(placement, "FETCH_AHEAD_STEPS", 1)
    pipeline = fetching_ahead(checkpoint)
    seen = []

    def look(*_):
        offloaded = pipeline.placement._offloaded
        seen.append((offloaded["video_dit"].is_onloaded, offloaded["video_dit_2"].is_fetched_ahead))

    clip(pipeline, short, callback_on_step_end=look, num_inference_steps=12)
    steps_with_first = sum(is_first for is_first, _ in seen)
    assert [is_ahead for is_first, is_ahead in seen if is_first].index(True) == steps_with_first - 2


def test_a_run_that_breaks_off_leaves_all_weights_offloaded(checkpoint, short, expected):
    pipeline = load(checkpoint, "disk")

    def stop(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        clip(pipeline, short, callback_on_step_end=stop)
    assert pipeline.placement.resident_bytes() == 0
    assert_same(clip(pipeline, short), expected)


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_adapters_act_on_weights_that_rest_and_leave_them_again(spread_home, placement):
    options = {"height": 32, "width": 32, "num_frames": 5, "num_inference_steps": 4}
    resident, placed = load(spread_home / "model", "resident"), load(spread_home / "model", placement)
    base = clip(placed, options)
    for pipeline in (resident, placed):
        pipeline.load_lora_weights(spread_home / "lora.safetensors", scale=0.7, adapter_name="one")
    adapted, wanted = clip(placed, options), clip(resident, options)
    assert not torch.equal(adapted[0], base[0])
    assert_same(adapted, wanted)
    placed.unload_lora_weights()
    assert torch.equal(clip(placed, options)[0], base[0])
    at_once = load(spread_home / "model", placement, loras=[(spread_home / "lora.safetensors", 0.7)])
    assert torch.equal(clip(at_once, options)[0], adapted[0])


@pytest.fixture(scope="module")
def quantized_model(checkpoint, short, tmp_path_factory, request):
    """How weights are quantised, a model that is stored so, and a clip of it with everything on the device."""
    method = request.param
    folder = convert_weights(checkpoint, tmp_path_factory.mktemp("quantised") / method, quantize=method)
    resident = load_pipeline(checkpoint, runtime=Runtime("resident", method))
    resident.set_progress_bar_config(disable=True)
    return method, folder, clip(resident, short)


@pytest.mark.parametrize(
    ("quantized_model", "placement"),
    [
        ("float8", "stream"),
        *(pytest.param("float8", placement, marks=pytest.mark.slow) for placement in ("phases", "disk")),
        ("nf4", "disk"),
        *(pytest.param("nf4", placement, marks=pytest.mark.slow) for placement in ("phases", "stream")),
    ],
    indirect=["quantized_model"],
)
def test_quantized_weights_are_offloaded_like_others(checkpoint, short, quantized_model, placement):
    method, quantized, wanted = quantized_model
    as_stored = load(quantized, placement)
    assert_same(clip(as_stored, short), wanted)
    while_loading = load_pipeline(checkpoint, runtime=Runtime(placement, method))
    while_loading.set_progress_bar_config(disable=True)
    assert_same(clip(while_loading, short), wanted)
    plain = load(checkpoint, placement).placement
    assert as_stored.placement.host_bytes() <= 0.5 * plain.host_bytes()


def test_weights_that_rest_are_not_shared_with_other_processes(checkpoint):
    pipeline = load(checkpoint, "disk")
    with pytest.raises(ConfigError, match=r"memory must be resident .*got 'disk' with 2; shard_weights"):
        pipeline.spread_over(Parallel(shard=2))


def test_the_step_cache_works_on_weights_that_are_offloaded(checkpoint, pipe, short):
    pipeline = load(checkpoint, "stream")
    changes = {"step_cache": 0.5, "num_inference_steps": 8}
    assert_same(clip(pipeline, short, **changes), clip(pipe, short, **changes))


def test_other_places_than_there_are_are_refused():
    with pytest.raises(ConfigError, match=r"memory must be one of auto, resident, .*got 'streem'; nearest is stream"):
        Runtime(memory="streem")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("placement", PLACEMENTS)
def test_on_a_gpu_a_clip_is_the_same_wherever_the_weights_rest(checkpoint, short, placement):
    torch.cuda.reset_peak_memory_stats()
    expected = clip(load(checkpoint, "resident", device="cuda"), short)
    found = clip(load(checkpoint, placement, device="cuda"), short)
    for one, other in zip(found, expected, strict=True):
        # Bands of a picture are put together on the host.
        torch.testing.assert_close(one.cpu(), other.cpu(), rtol=1e-2, atol=1e-2)
