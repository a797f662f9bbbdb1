"""What a plan looks like as text and as a record."""

import json
from dataclasses import replace

import pytest

from mova.geometry import ClipGeometry
from mova.plan.cost import make_plan
from mova.plan.gpus import GPUS, choose_gpus, find_gpu
from mova.plan.published import find_dims
from mova.plan.report import parts, to_record, to_text


def plan_360p(**changes):
    dims = find_dims("mova-360p")
    geometry = ClipGeometry(height=352, width=640, num_frames=193, codec=dims.codec)
    return make_plan(dims, geometry, num_steps=50, guidance_scale=5.0, modality_scale=1.0, **changes)


def test_parts_add_up_to_their_sums():
    made = parts(plan_360p())
    bridge = sum(value for name, value in made.items() if name.startswith("bridge "))
    assert bridge == made["bridge"]
    assert made["total"] == made["video tower"] + made["audio tower"] + made["bridge"] + made["embeddings and heads"]


def test_text_separates_counts_from_estimates():
    text = to_text(plan_360p(), [find_gpu("h100")], 16)
    assert "video latents 16 x 49 x 44 x 80 = 43,120 tokens" in text
    assert "audio latents 128 x 403 = 403 tokens" in text
    assert "one step: 2 forwards, 0 of them without the bridge" in text
    for line in text.splitlines():
        if line.startswith(("memory", "time")):
            assert "estimate" in line
    assert "h100 (80 GB): memory=phases fits" in text


def test_a_gpu_that_is_too_small_is_said_to_be():
    small = replace(find_gpu("rtx-4090"), memory_gb=8)
    assert "rtx-4090 (8 GB): too small for any placement" in to_text(plan_360p(), [small], 16)
    assert "rtx-4090 (24 GB): memory=stream fits" in to_text(plan_360p(), [find_gpu("rtx-4090")], 16)


def test_every_placement_has_its_line():
    lines = [line for line in to_text(plan_360p(), [], 16).splitlines() if line.startswith(("  gpu, ", "  cpu, "))]
    assert [line.split()[1] for line in lines] == ["resident", "phases", "stream", "disk"] * 2
    assert lines[2].endswith("GB of host memory")
    assert lines[3].endswith("GB read from files for each forward")


def test_the_record_is_json_and_holds_every_gpu():
    record = json.loads(json.dumps(to_record(plan_360p(), list(GPUS.values()), 16)))
    assert set(record["denoising_seconds"]) == set(GPUS)
    assert record["forward_operations"]["total"] * 2 == record["step_operations"]
    assert record["step_operations"] * record["steps"] == record["total_operations"]
    assert [memory["name"] for memory in record["memory_estimates"]][-1] == "cpu, disk"
    assert record["fits"]["rtx-4090"] == "stream"
    assert record["fits"]["h100"] == "phases"
    assert record["cpu"]["cores"] == 16


def test_times_are_said_in_words():
    text = to_text(plan_360p(), [find_gpu("rtx-4090")], 16)
    assert "1,869 s in all, about 31 minutes" in text
    assert "CPU, 16 cores" in text
    assert "days" in text.splitlines()[-1]


def test_what_quantized_weights_would_fit_is_said():
    card = replace(find_gpu("rtx-4080"), memory_gb=9.5)
    assert "rtx-4080 (9.5 GB): too small as it is; --quantize float8 fits" in to_text(plan_360p(), [card], 16)


def test_a_gpu_of_which_only_the_memory_is_known_has_a_placement_and_no_time():
    text = to_text(plan_360p(), choose_gpus(None, 12), 16)
    assert "any GPU with 12 GB: memory=stream fits, with 64.3 GB of host memory" in text
    assert "TFLOP/s" not in text.partition("time of the denoising loop")[2]


def test_several_gpus_share_time_and_weights():
    alone, eight = (to_record(plan_360p(num_gpus=number), [find_gpu("h100")], 16) for number in (1, 8))
    for label, duration in alone["denoising_seconds"]["h100"].items():
        assert eight["denoising_seconds"]["h100"][label] * 8 == pytest.approx(duration)
    assert eight["fits"]["h100"] == "shard-weights"
    by_name = {memory["placement"]: memory for memory in eight["memory_estimates"] if memory["name"].startswith("gpu")}
    assert set(by_name) == {"resident", "shard-weights"}
    assert by_name["shard-weights"]["weights_bytes"] < by_name["resident"]["weights_bytes"] / 3
    assert "8 x h100 (80 GB): --shard-weights fits" in to_text(plan_360p(num_gpus=8), [find_gpu("h100")], 16)


def test_calls_that_adaptive_guidance_spares_are_an_upper_bound():
    assert "TFLOP at most" in to_text(plan_360p(speed="fast"), [], 16)
    assert "at most" not in to_text(plan_360p(), [], 16)
