"""The plan of a LoRA run, compared with a real run at small size and with what the shipped recipes promise."""

import itertools
import re
from dataclasses import asdict

import pytest
import torch
import yaml

from mova.cli.app import main
from mova.errors import CheckpointError
from mova.offload.residency import frozen_tensors
from mova.train.config import load_recipe
from mova.train.ladder import run_recipe
from mova.train.loop.optimizer import OptimizerSet
from mova.train.plan.allocations import Allocations
from mova.train.plan.memory import GB, plan_lora
from mova.train.stages.lora import LoraStage

RECOMPUTED = {"checkpoint_activations": True}
STREAMED = RECOMPUTED | {"stream_blocks": True}
LEAST = STREAMED | {"offload_activations": True, "one_expert": True, "base_quantization": "nf4"}
RECIPE = {
    "stage": "lora",
    "base": "mova-tiny",
    "data": {"num_clips": 2, "validation_clips": 2, "size": 64, "num_frames": 25, "workers": 1},
    "run": {"max_steps": 1, "batch_size": 2, "log_every": 1, "device": "cpu", "ema_decay": 0.9},
    "optimizer": {"name": "adamw", "lr": 1e-3, "warmup_steps": 0},
}


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return tmp_path_factory.mktemp("clips")


def recipe(folder, memory, **changes):
    path = folder / "plan.yaml"
    path.write_text(yaml.safe_dump(RECIPE | {"model": str(folder / "model"), "memory": memory} | changes))
    return load_recipe(path)


def bytes_of(tensors):
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


ONE_EXPERT = STREAMED | {"one_expert": True}
# Every method and every way of keeping weights, with both dtypes; the other combinations are slow ones.
IN_SUITE = [
    ({}, "none", "float32"),
    ({}, "nf4", "bfloat16"),
    (STREAMED, "float8", "float32"),
    (STREAMED, "none", "bfloat16"),
    (ONE_EXPERT, "nf4", "float32"),
    (ONE_EXPERT, "float8", "bfloat16"),
]
KEPT = [
    pytest.param(*case, marks=[pytest.mark.slow] * (case not in IN_SUITE))
    for case in itertools.product(({}, STREAMED, ONE_EXPERT), ("none", "float8", "nf4"), ("float32", "bfloat16"))
]


@pytest.mark.parametrize(("settings", "method", "dtype"), KEPT)
def test_weights_and_adapters_are_counted_to_the_byte(clips, tmp_path, settings, method, dtype):
    config = recipe(tmp_path, settings | {"base_quantization": method, "base_dtype": dtype})
    plan, stage = plan_lora(config, is_gpu=False), LoraStage(config, clips)
    placement = stage.placement
    everything = bytes_of({id(t): t for part in stage.components.values() for t in frozen_tensors(part)}.values())
    if placement.streamer is None:
        assert plan.device.weights == everything
        assert plan.device.slots == plan.host.total == 0
    else:
        blocks = [block for entry in placement.streamer._blocks for block in frozen_tensors(entry.module)]
        waiting = bytes_of(frozen_tensors(placement.experts.modules["low_noise"])) if placement.experts else 0
        assert plan.device.weights + waiting == everything - bytes_of(blocks)
        assert plan.host.experts == waiting
        assert plan.device.slots == placement.streamer.slot_bytes()
        assert plan.host.blocks == placement.streamer.host_bytes()
    learned = [p for parts in stage.modules.values() for p in parts.parameters()]
    assert plan.device.adapters == plan.device.average == bytes_of(learned)


@pytest.mark.parametrize("name", ["adamw", "adamw8bit", "muon"])
def test_gradients_and_what_the_optimiser_keeps_are_counted(clips, tmp_path, name):
    # Rank 32 makes matrices that are large enough to be kept in 8 bits, beside smaller ones.
    large = {part: {"rank": 32} for part in ("video_dit", "video_dit_2")}
    config = recipe(tmp_path, {}, optimizer=RECIPE["optimizer"] | {"name": name}, adapters=large)
    plan, stage = plan_lora(config, is_gpu=False), LoraStage(config, clips)
    optimizer = OptimizerSet(stage.parameter_groups(), config.optimizer)
    for step in range(2):
        for part in stage.losses(step, 0.0):
            part["loss"].backward()
        found = bytes_of(p.grad for p in optimizer.parameters if p.grad is not None)
        assert found == plan.device.gradients
        optimizer.step(1.0)
    kept = {}
    for one in optimizer.optimizers:
        for entry in one.state.values():
            for key, value in entry.items():
                if isinstance(value, torch.Tensor) and key != "step":
                    kept[value.untyped_storage().data_ptr()] = bytes_of([value])
    assert plan.device.optimizer == pytest.approx(sum(kept.values()), rel=0.001)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        *(pytest.param(one, marks=pytest.mark.slow) for one in (RECOMPUTED, STREAMED)),
        RECOMPUTED | {"offload_activations": True},
        LEAST,
    ],
)
def test_a_real_step_keeps_and_takes_what_was_counted(clips, tmp_path, settings):
    config = recipe(tmp_path, settings)
    plan, stage = plan_lora(config, is_gpu=False), LoraStage(config, clips)
    for part in stage.losses(0, 0.0):
        # Gradients and tables of positions exist from the first step on.
        part["loss"].backward()
    with Allocations() as allocations:
        (part,) = stage.losses(0, 0.0)
        kept = allocations.alive_bytes
        part["loss"].backward()
    device, host = plan.device, plan.host
    tables = sum(4 * tokens * 2 * 48 for tokens in (plan.geometry.num_video_tokens, plan.geometry.num_audio_latents))
    # On a CPU what waits on the host counts too; the tables are there already, slots are from before.
    # Within a tenth: masks, noise levels and what the losses keep are not counted one by one.
    assert device.kept - tables + host.activations == pytest.approx(kept, rel=0.1, abs=150_000)
    expected = device.kept - tables + host.activations + device.working + device.latents
    # Never less; somewhat more, as what a step frees on its way back is counted until its end.
    assert 0.98 * allocations.peak_bytes <= expected <= 1.2 * allocations.peak_bytes


@pytest.mark.slow
def test_each_setting_takes_what_it_is_for_off_the_device(tmp_path):
    def plan(**memory):
        return plan_lora(recipe(tmp_path, memory, base="mova-360p", data=RECIPE["data"] | {"size": 352})).device

    plain, recomputed = plan(), plan(checkpoint_activations=True)
    assert recomputed.kept < 0.1 * plain.kept
    streamed = plan(checkpoint_activations=True, stream_blocks=True)
    assert streamed.weights + streamed.slots < 0.06 * plain.weights
    assert plan(base_quantization="nf4").weights < 0.32 * plain.weights
    assert plan(base_quantization="int8").weights < 0.55 * plain.weights
    assert plan(checkpoint_activations=True, offload_activations=True).kept < 0.02 * recomputed.kept + 50e6
    assert {name for name, value in asdict(plain).items() if not value} == {"slots"}


def test_the_recipe_for_a_small_gpu_fits_one_of_24_gb(recipes):
    config = load_recipe(recipes("lora_low_vram"))
    plan = plan_lora(config)
    geometry = plan.geometry
    assert (geometry.width, geometry.height, geometry.num_frames) == (640, 352, 193)
    assert {adapter.rank for adapter in config.adapters.chosen().values()} == {8}
    assert len(config.adapters.chosen()) == 4
    assert plan.batch == 1
    assert plan.device.total <= 24e9
    promised = re.search(r"([\d.]+) GB by the plan", (recipes("lora_low_vram")).read_text())[1]
    assert plan.device.total / GB == pytest.approx(float(promised), abs=0.06)
    assert plan.host.total <= 50e9


def test_the_recipe_without_savings_needs_what_its_comment_says(recipes):
    text = (recipes("lora")).read_text()
    plan = plan_lora(load_recipe(recipes("lora")))
    assert plan.device.total / GB == pytest.approx(float(re.search(r"([\d.]+) GB by the plan", text)[1]), abs=0.06)
    assert round(plan.device.weights / GB) == int(re.search(r"(\d+) of them weights", text)[1])
    changes = re.findall(r"(memory\.\w+=true)", text)
    assert len(changes) == 2
    assert plan_lora(load_recipe(recipes("lora"), changes)).device.total <= 80e9


def test_a_dry_run_shows_the_plan_and_loads_nothing(recipes, capsys):
    # The recipe's own clips are not here.
    assert main(["train", str(recipes("lora_low_vram")), "--dry-run"]) == 2
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("lora_low_vram: lora -> ")
    assert lines[1].startswith("  memory on a GPU for 1 x 640x352, 193 frames (43,120 video tokens)")
    assert re.fullmatch(r" +device [\d.]+ GB = .* weights \+ .* slots \+ .*\(most for video_dit.*\)", lines[2])
    assert re.fullmatch(r" +host [\d.]+ GB = [\d.]+ blocks \+ [\d.]+ experts \+ [\d.]+ activations", lines[3])


def test_a_base_that_is_not_on_this_disk_is_not_fetched_for_a_plan(recipes, capsys):
    change = "base=somebody/their-model"
    with pytest.raises(CheckpointError, match="a model directory on this disk, got 'somebody/their-model'"):
        plan_lora(load_recipe(recipes("lora"), [change]))
    assert main(["train", str(recipes("lora")), "--dry-run", "--set", change]) == 2
    assert "memory is not planned: model must be" in capsys.readouterr().out


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("settings", [RECOMPUTED, LEAST])
def test_a_gpu_takes_no_more_than_planned(tmp_path, settings):
    run = RECIPE["run"] | {"device": "cuda"}
    data = RECIPE["data"] | {"size": 128, "num_frames": 49}
    config = recipe(tmp_path, settings, run=run, data=data)
    plan = plan_lora(config)
    # The plan is that of a step: the encoders have gone before the first one.
    run_recipe(tmp_path / "plan.yaml", cache=tmp_path / "cache")
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    run_recipe(tmp_path / "plan.yaml", overrides=[f"model={tmp_path / 'again' / 'model'}"], cache=tmp_path / "cache")
    assert torch.cuda.max_memory_allocated() <= 1.3 * plan.device.total + 200e6
