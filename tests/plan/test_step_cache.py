"""What a step cache takes: as many bytes as it keeps, and counted where memory is chosen."""

import json

import pytest
import torch

from mova.cli.app import main
from mova.errors import ConfigError
from mova.geometry import ClipGeometry
from mova.models.dual_tower import DualTower
from mova.pipeline.loop.step_cache import StepCache
from mova.plan.cost import calls_per_step, make_plan, step_cache_use
from mova.plan.memory import GB, Room, choose_placement, plan_memory
from mova.plan.published import find_defaults, find_dims
from mova.plan.step_cache import StepCacheUse
from mova.settings.sampling import GivenSettings, SamplingSettings
from mova.weights.dims import dims_from_directory

DIMS = find_dims("mova-360p")
CLIP = ClipGeometry(352, 640, 193, 24.0, DIMS.codec)


def gpu(gigabytes):
    return Room(int(gigabytes * GB), int(128 * GB), is_gpu=True)


@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize(("with_bridge", "without_bridge"), [(1, 0), (2, 1)])
def test_the_bytes_that_are_counted_are_those_that_are_kept(pipe, checkpoint, order, with_bridge, without_bridge):
    model = DualTower(pipe.video_dit, pipe.audio_dit, pipe.dual_tower_bridge)
    dims = dims_from_directory(checkpoint)
    geometry = ClipGeometry(32, 32, 5, 24.0, dims.codec)
    generator = torch.Generator().manual_seed(0)
    video = torch.randn(1, dims.video.in_dim, *geometry.video_latent_shape[1:], generator=generator)
    audio = torch.randn(1, *geometry.audio_latent_shape, generator=generator)
    text = torch.randn(1, 8, dims.video.text_dim, generator=generator)
    kinds = [(number, number < with_bridge) for number in range(with_bridge + without_bridge)]
    with StepCache([model], 1e-9, order=order) as cache, torch.no_grad():
        for level in (900.0, 700.0, 500.0, 300.0):
            for number, use_bridge in kinds:
                cache.begin("high_noise", (number,))
                time = torch.tensor([level])
                model(video, audio, time, time, text, frame_rate=24.0, use_bridge=use_bridge)
        kept = cache.size_bytes()
    assert cache.repeated == 0
    use = StepCacheUse.of_branches(order, (use_bridge for _, use_bridge in kinds))
    assert use == StepCacheUse(order, with_bridge, without_bridge)
    assert use.num_bytes(dims, geometry, 4) == kept


def test_a_clip_of_the_full_size_keeps_tens_of_gigabytes_for_each_prediction():
    one = StepCacheUse(0, 1, 0).num_bytes(DIMS, CLIP, 2)
    # 40 blocks and 29 layers of the bridge, each 43,120 tokens of 5,120 numbers.
    assert one == 43_120 * 5_120 * 2 * (40 + DIMS.bridge.num_audio_to_video - 1)
    assert one == pytest.approx(30.5e9, rel=0.01)
    assert StepCacheUse(1, 2, 0).num_bytes(DIMS, CLIP, 2) == 4 * one
    assert StepCacheUse(0, 1, 1).num_bytes(DIMS, CLIP, 2) < 2 * one


def test_memory_is_chosen_with_the_cache_beside_the_weights():
    assert choose_placement(DIMS, CLIP, gpu(141)).placement == "resident"
    two = StepCacheUse(0, 2, 0)
    chosen = choose_placement(DIMS, CLIP, gpu(141), step_cache=two)
    assert chosen.placement == "phases"
    plain = next(plan for plan in plan_memory(DIMS, CLIP, is_gpu=True) if plan.placement == "phases")
    assert chosen.total_bytes >= plain.total_bytes + two.num_bytes(DIMS, CLIP, 2)
    batch = plan_memory(DIMS, CLIP, is_gpu=True, batch_size=2, step_cache=two)[0]
    single = plan_memory(DIMS, CLIP, is_gpu=True, batch_size=2)[0]
    assert batch.total_bytes - single.total_bytes == 2 * two.num_bytes(DIMS, CLIP, 2)


def test_a_cache_that_fits_nowhere_is_refused_with_what_would_fit():
    text = r"step_cache keeps 60\.9 GB for 640x352, 193 frames, got 48\.0 GB of free GPU.*nearest is 0, .*memory=phases"
    with pytest.raises(ConfigError, match=text):
        choose_placement(DIMS, CLIP, gpu(48), step_cache=StepCacheUse(0, 2, 0))


def test_settings_say_how_a_cache_is_used():
    defaults = find_defaults("mova-360p")

    def settings(**given):
        return SamplingSettings.for_model(defaults, DIMS.codec, GivenSettings(**given))

    assert step_cache_use(settings()) is None
    chosen = settings(step_cache=0.1, step_cache_order=1)
    calls = calls_per_step(chosen.guidance_scale, chosen.modality_scale)
    assert step_cache_use(chosen) == StepCacheUse(1, calls.with_bridge, calls.without_bridge)


def plan(capsys, *options):
    code = main(["plan", "--model", "mova-360p", "--gpu", "rtx-4090", *options])
    return code, capsys.readouterr()


def test_the_command_counts_a_cache_where_it_is_asked_for(capsys):
    assert "step cache" not in plan(capsys)[1].out
    code, printed = plan(capsys, "--step-cache-order", "1")
    assert code == 0
    assert "the step cache (order 1, " in printed.out
    assert "rtx-4090 (24 GB): too small for the step cache; without it memory=stream fits" in printed.out
    record = json.loads(plan(capsys, "--step-cache-order", "1", "--json")[1].out)
    plain = json.loads(plan(capsys, "--json")[1].out)
    assert (plain["step_cache_order"], plain["step_cache_bytes"]) == (None, 0)
    assert record["step_cache_order"] == 1
    grown = record["memory_estimates"][0]["activations_bytes"] - plain["memory_estimates"][0]["activations_bytes"]
    # The peak may have been elsewhere without it.
    assert 0.9 * record["step_cache_bytes"] < grown <= record["step_cache_bytes"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--step-cache-order", "3"), "step_cache_order must be 0, 1 or 2, got 3; nearest is 2"),
        (("--step-cache-order", "1", "--gpus", "2"), "step_cache is for one process"),
    ],
)
def test_a_cache_that_cannot_be_is_refused(capsys, options, said):
    code, printed = plan(capsys, *options)
    assert code == 2
    assert said in printed.err
    assert make_plan(DIMS, CLIP, num_steps=2, guidance_scale=1.0, modality_scale=1.0).step_cache is None
