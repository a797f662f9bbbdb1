"""What a plan looks like as text and as a record."""

import json
from dataclasses import replace

from mova.generate.gpus import GPUS, find_gpu
from mova.generate.plan import make_plan
from mova.generate.plan_report import parts, to_record, to_text
from mova.generate.published import find_dims
from mova.geometry import ClipGeometry


def plan_360p():
    dims = find_dims("mova-360p")
    geometry = ClipGeometry(height=352, width=640, num_frames=193, codec=dims.codec)
    return make_plan(dims, geometry, num_steps=50, guidance_scale=5.0, modality_scale=1.0)


def test_parts_add_up_to_their_sums():
    made = parts(plan_360p())
    bridge = sum(value for name, value in made.items() if name.startswith("bridge "))
    assert bridge == made["bridge"]
    assert made["total"] == made["video tower"] + made["audio tower"] + made["bridge"] + made["embeddings and heads"]


def test_text_separates_counts_from_estimates():
    text = to_text(plan_360p(), [find_gpu("h100")])
    assert "video latents 16 x 49 x 44 x 80 = 43,120 tokens" in text
    assert "audio latents 128 x 403 = 403 tokens" in text
    assert "one step: 2 forwards, 0 of them without the bridge" in text
    for line in text.splitlines():
        if line.startswith(("memory", "time")):
            assert "estimate" in line
    assert "h100 (80 GB): memory=phases fits" in text


def test_a_gpu_that_is_too_small_is_said_to_be():
    small = replace(find_gpu("rtx-4090"), memory_gb=8)
    assert "rtx-4090 (8 GB): too small for any placement" in to_text(plan_360p(), [small])
    assert "rtx-4090 (24 GB): memory=stream fits" in to_text(plan_360p(), [find_gpu("rtx-4090")])


def test_every_placement_has_its_line():
    lines = [line for line in to_text(plan_360p(), []).splitlines() if line.startswith(("  gpu, ", "  cpu, "))]
    assert [line.split()[1] for line in lines] == ["resident", "phases", "stream", "disk"] * 2
    assert lines[2].endswith("GB of host memory")
    assert lines[3].endswith("GB read from files for each forward")


def test_the_record_is_json_and_holds_every_gpu():
    record = json.loads(json.dumps(to_record(plan_360p(), list(GPUS.values()))))
    assert set(record["denoising_seconds"]) == set(GPUS)
    assert record["forward_operations"]["total"] * 2 == record["step_operations"]
    assert record["step_operations"] * record["steps"] == record["total_operations"]
    assert [memory["name"] for memory in record["memory_estimates"]][-1] == "cpu, disk"
