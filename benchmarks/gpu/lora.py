"""Rows of training: one step of a LoRA of all components, as `bench_train_step.py` builds and measures it."""

from __future__ import annotations

from statistics import median
from typing import Any

import bench_train_step as steps
import torch

from gpu.work import GB, TERA, Work
from mova.weights.dims import dims_from_configs

RANK, STEPS = 8, 2
LAYERS = 12
"""Of each tower at most: a step of the whole model takes over 20 s on an H200; what compiling saves is per block."""


def step(work: Work, setting: str, layers: int | None = LAYERS) -> dict[str, Any]:
    """Measure a step with one of the settings of `bench_train_step.py`; the model is built for it and taken down."""
    work.release()
    is_full = work.sizes == "full"
    sizes = "full" if is_full else "tiny"
    model = steps.configs_of(sizes, layers)
    dims = dims_from_configs(sizes, model, steps.NO_CODECS, num_prompt_tokens=512 if is_full else 64)
    config = steps.recipe(sizes, setting, RANK, work.device.type)
    if not is_full and config.run.compile:
        config = config.model_copy(update={"run": config.run.model_copy(update={"compile": False})})
    start = work.now()
    with torch.enable_grad():
        row = steps.measure(model, dims, config, work.device, STEPS if work.rounds > 1 else 1)
    took = work.now() - start
    if row.problem:
        raise RuntimeError(f"{row.problem}; planned {row.planned_peak / GB:.1f} GB")
    from mova.train.plan.memory import largest_geometry

    geometry = largest_geometry(config, dims)
    operations = steps.step_operations(dims, geometry)
    seconds = median(row.seconds)
    figures: dict[str, Any] = {
        "seconds": round(seconds, 4),
        "all seconds": [round(one, 4) for one in row.seconds],
        "layers of a tower": min(layers or 10**6, model["video_dit"]["num_layers"]),
        "video tokens": geometry.num_video_tokens,
        "TFLOP/s without what is computed again": round(operations / seconds / TERA, 2),
        "weights on the device, GB": round(row.frozen_bytes / GB, 2),
        "peak GB": round(row.peak_bytes / GB, 2),
        "planned peak, GB": round(row.planned_peak / GB, 2),
        "building and first step, seconds": round(took - sum(row.seconds), 1),
    }
    plain = work.figures.get("d.lora" if layers else "d.full", {}).get("seconds")
    if plain and setting != "resident":
        figures["times faster than plain"] = round(plain / seconds, 3)
    return figures
