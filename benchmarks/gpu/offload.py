"""Rows of offloaded weights: streamed from host memory, read from files, and diffusers' group offload."""

from __future__ import annotations

import os
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch
from bench_streaming import Row, time_forwards

from gpu.joint import Joint
from gpu.work import GB, Work
from mova.names import VIDEO_TOWER
from mova.offload.streaming import BlockStreamer
from mova.plan.memory import plan_memory

# What a file of the whole model would take a minute to write says no more than a part: each block waits for its own.
DISK_LAYERS = {"full": 8, "small": 2}
TOWER_LAYERS = {"full": 12, "small": 2}
# Bytes of the file by which the rate of the disk itself is found.
FILE_BYTES = {"full": 2**31, "small": 2**20}
TARGET_GB = 14


def stream(work: Work) -> dict[str, Any]:
    """Measure the forward with blocks that come from host memory; the model that was resident is used up."""
    # Nothing else may lie on the device: what is asked for is a peak.
    joint = work.keep("joint", lambda: Joint(work))
    joint.forget_text()
    plans = {plan.placement: plan for plan in plan_memory(joint.dims, joint.geometry(), is_gpu=work.is_gpu)}
    try:
        resident, streamed = time_forwards(
            sizes_of(work), work.device, placements=("resident", "stream"), rounds=1, model=joint.model
        )
    finally:
        work.release()
    figures = {"planned, GB": round(plans["stream"].total_bytes / GB, 2)} | figures_of(resident, streamed)
    return figures | ({f"within {TARGET_GB} GB": streamed.peak_gb <= TARGET_GB} if work.is_gpu else {})


def disk(work: Work) -> dict[str, Any]:
    """Measure a forward of fewer layers with blocks from files, next to the same layers in place."""
    work.release()
    rows = time_forwards(
        sizes_of(work),
        work.device,
        placements=("resident", "disk"),
        num_layers=DISK_LAYERS[work.sizes],
        folder=work.folder,
        rounds=work.rounds,
    )
    resident, read = rows
    return (
        figures_of(resident, read)
        | {
            "file system": file_system(work.folder),
            "files": "just written: what the system still holds of them in memory is read from there",
        }
        | file_rates(work)
    )


def sizes_of(work: Work) -> str:
    """Return what `bench_streaming.py` calls these sizes."""
    return "full" if work.sizes == "full" else "tiny"


def figures_of(resident: Row, placed: Row) -> dict[str, Any]:
    """Return the figures of a placement."""
    return {
        "seconds": round(placed.forward_s, 4),
        "all seconds": [round(one, 4) for one in placed.forwards_s],
        "of resident": round(placed.ratio, 4),
        "resident, seconds": round(resident.forward_s, 4),
        "layers of a tower": placed.layers,
        "peak GB": round(placed.peak_gb, 2),
        "resident, peak GB": round(resident.peak_gb, 2),
        "host memory, GB": round(placed.host_gb, 2),
        "placing the weights, seconds": round(placed.prepare_s, 1),
        "the same bits as resident": placed.same,
    }


def file_rates(work: Work) -> dict[str, float]:
    """Return how fast a file is written to the disk, and read from it when the system holds nothing of it."""
    file, size = work.folder / "bytes", FILE_BYTES[work.sizes]
    piece = os.urandom(2**20)
    start = time.perf_counter()
    with file.open("wb") as target:
        for _ in range(size // len(piece)):
            target.write(piece)
        target.flush()
        os.fsync(target.fileno())
        written = time.perf_counter() - start
        os.posix_fadvise(target.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    start = time.perf_counter()
    with file.open("rb", buffering=0) as source:
        while source.read(2**24):
            pass
    read = time.perf_counter() - start
    file.unlink()
    return {"disk, written GB/s": round(size / GB / written, 2), "disk, read GB/s": round(size / GB / read, 2)}


def file_system(folder: Path) -> str:
    """Return the kind of file system that a folder is on, where the system says it."""
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    inside = [(len(place), kind) for place, kind in mounts if folder.is_relative_to(place)]
    return max(inside)[1] if inside else "unknown"


def group_offload(work: Work) -> dict[str, Any]:
    """Compare ways to offload one video tower: resident, our streaming, diffusers' group offload with a stream."""
    layers = TOWER_LAYERS[work.sizes]
    joint = work.keep("towers", lambda: Joint(work, layers=layers))
    tower = joint.parts[VIDEO_TOWER]
    joint.parts = {VIDEO_TOWER: tower}
    del joint.model
    work.free()
    video, _, level, _, text = joint.inputs(joint.geometry())
    seconds: dict[str, float] = {}
    peaks: dict[str, float] = {}

    def time(name: str) -> None:
        work.free()
        work.start_peak()
        seconds[name] = median(work.times(lambda: tower(video, level, text))[1:])
        peaks[name] = work.peak().get("peak GB", 0.0)

    time("resident")
    streamer = BlockStreamer([tower], work.device)
    time("our streaming")
    streamer.remove()
    tower.to("cpu")
    work.free()
    options: dict[str, Any] = {"use_stream": True, "non_blocking": True} if work.is_gpu else {}
    tower.enable_group_offload(
        onload_device=work.device,
        offload_device=torch.device("cpu"),
        offload_type="block_level",
        num_blocks_per_group=1,
        **options,
    )
    time("diffusers' group offload")
    return {
        "layers": layers,
        "seconds": {name: round(value, 4) for name, value in seconds.items()},
        "of resident": {name: round(value / seconds["resident"], 3) for name, value in seconds.items()},
        "peak GB": peaks,
    }
