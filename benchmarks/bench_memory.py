"""Peak memory and time of a clip for each placement of the weights, next to what `mova plan` says.

    .venv/bin/python benchmarks/bench_memory.py > benchmarks/results/memory_<machine>_<yyyymm>.md

Writes a model with random weights, large enough that weights are most of the memory, and makes the same short clip from
it with every placement, each in a process of its own. On a CPU memory is the peak of the resident set above that of a
process that has imported everything; on a GPU the peak of what torch allocates. `--sizes full` has the towers, bridge
and autoencoders of MOVA-360p with one expert (37 GB of files in bfloat16, in the folder of `--scratch`, and as much of
the host's memory while they are made) and 352x640 with 193 frames, two steps of one prediction. What the blocks of a
forward cost alone, without files of a model, is in bench_streaming.py: minutes less.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

from mova.bench.peak import peak_bytes

PLACEMENTS = ("resident", "phases", "stream", "disk")
GB = 1e9
CLIPS: dict[str, dict[str, Any]] = {
    "wide": {"height": 96, "width": 96, "num_frames": 17, "num_inference_steps": 4, "guidance_scale": 2.0},
    # One prediction a step: what is measured is the way of the weights, which each prediction goes anew.
    "full": {
        "height": 352,
        "width": 640,
        "num_frames": 193,
        "num_inference_steps": 2,
        "guidance_scale": 1.0,
        "modality_scale": 1.0,
    },
}
# Of the files that are written, and of the tensors that they are made of, in bytes.
MODEL_BYTES = {"wide": 2e9, "full": 38e9}


def write_model(folder: Path, sizes: str) -> None:
    """Write a model with random weights in bfloat16, and the text encoder of mova-tiny."""
    import torch

    from mova.bench.random_weights import fill_randomly
    from mova.models.presets import mova_360p, tiny
    from mova.names import PUBLISHED_COMPONENTS
    from mova.pipeline.load import load_pipeline
    from mova.weights.components import build_empty

    pipeline = load_pipeline("mova-tiny")
    presets = mova_360p() if sizes == "full" else tiny()
    text = {"text_dim": pipeline.text_encoder.config.d_model}
    video, audio, bridge = (presets[name] for name in ("video_dit", "audio_dit", "dual_tower_bridge"))
    if sizes != "full":
        video |= {"dim": 1024, "ffn_dim": 4096, "num_heads": 8, "num_layers": 16}
        audio |= {"dim": 512, "ffn_dim": 2048, "num_heads": 4, "num_layers": 16}
        bridge |= {"visual_layers": 16, "audio_layers": 16, "visual_hidden_dim": 1024, "audio_hidden_dim": 512}
        bridge["head_dim"] = 128
    configs = {"video_dit": video | text, "audio_dit": audio | text, "dual_tower_bridge": bridge}
    if sizes == "full":
        pipeline.register_modules(video_dit_2=None)
        configs |= {name: presets[name] for name in ("video_vae", "audio_vae")}
    else:
        configs["video_dit_2"] = configs["video_dit"]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    generator = torch.Generator(device).manual_seed(0)
    for name, config in configs.items():
        component = build_empty(PUBLISHED_COMPONENTS[name][1], config)
        fill_randomly(component, torch.bfloat16, generator, store_on=torch.device("cpu"))
        pipeline.register_modules(**{name: component})
    pipeline.save_pretrained(folder, torch_dtype=torch.bfloat16)


def measure(folder: Path, placement: str, sizes: str, quantization: str | None) -> dict[str, Any]:
    """Make a clip in this process and say what it took."""
    import numpy as np
    import torch

    from mova.pipeline.load import load_pipeline
    from mova.pipeline.runtime import Runtime
    from mova.plan.free import release_memory

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    # What importing and a first product take is no part of the model's memory.
    load_pipeline("mova-tiny")
    torch.ones(64, 64) @ torch.ones(64, 64)
    release_memory()
    before = _resident_bytes()
    _forget_peak()
    since = time.perf_counter()
    pipeline = load_pipeline(folder, device=device, runtime=Runtime(memory=placement, quantization=quantization))
    loaded = time.perf_counter() - since
    pipeline.set_progress_bar_config(disable=True)
    ends: list[float] = []
    result = pipeline(
        "a ball falls and rings",
        seed=0,
        output_type="np",
        callback_on_step_end=lambda *_: ends.append(time.perf_counter()),
        **CLIPS[sizes],
    )
    # The first step also fetches what the others find there.
    steps = sorted(end - start for start, end in pairwise(ends))
    peak = torch.cuda.max_memory_allocated() if device.type == "cuda" else peak_bytes() - before
    return {
        "peak": peak,
        "host_peak": peak_bytes() - before,
        "load_s": loaded,
        "step_s": steps[len(steps) // 2],
        "frames": float(np.asarray(result.frames).mean()),
        "audio": float(np.abs(np.asarray(result.audio)).mean()),
    }


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def _forget_peak() -> None:
    # Linux: what is noted as the peak becomes what is there now. Some containers do not allow it: then the peak of the
    # imports counts too, which is less than that of any model here.
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def check_room(folder: Path, sizes: str) -> None:
    """Say what is missing before anything is made.

    Raises:
        SystemExit: too little room in the folder, or too little free memory of the host.
    """
    from mova.plan.free import free_host_bytes

    needed = MODEL_BYTES[sizes]
    for what, free in ((f"room in {folder}", shutil.disk_usage(folder).free), ("host memory", free_host_bytes())):
        if free < needed:
            raise SystemExit(f"{needed / GB:.0f} GB of {what} are needed, {free / GB:.0f} GB are free")


def planned(folder: Path, sizes: str, quantization: str | None) -> dict[str, Any]:
    """Return the plans by placement."""
    import torch

    from mova.geometry import ClipGeometry
    from mova.plan.memory import plan_memory
    from mova.weights.dims import dims_from_directory

    dims, clip = dims_from_directory(folder), CLIPS[sizes]
    geometry = ClipGeometry(clip["height"], clip["width"], clip["num_frames"], 24.0, dims.codec)
    plans = plan_memory(dims, geometry, is_gpu=torch.cuda.is_available(), quantization=quantization)
    return {plan.placement: plan for plan in plans}


def main() -> None:
    """Measure every placement and print a note."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", choices=CLIPS, default="wide")
    parser.add_argument("--quantize", default=None, help="method of quantisation, as of `mova generate`")
    parser.add_argument("--placements", nargs="+", default=PLACEMENTS, choices=PLACEMENTS)
    parser.add_argument("--model", type=Path, help="a directory that this script wrote before; else written anew")
    parser.add_argument("--scratch", type=Path, help="folder with room for the files; the system's by default")
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--one", nargs=2, metavar=("FOLDER", "PLACEMENT"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one:
        found = measure(Path(chosen.one[0]), chosen.one[1], chosen.sizes, chosen.quantize)
        sys.stdout.write(json.dumps(found))
        return
    if chosen.write:
        write_model(chosen.write, chosen.sizes)
        return
    with tempfile.TemporaryDirectory(dir=chosen.scratch) as temporary:
        folder = chosen.model or Path(temporary) / "model"
        if not folder.is_dir():
            check_room(Path(temporary), chosen.sizes)
            # In a process of its own: what the tensors took, of the host and of a GPU, is free again afterwards.
            command = [sys.executable, __file__, "--sizes", chosen.sizes, "--write", str(folder)]
            subprocess.run(command, check=True)
        rows = []
        plans = planned(folder, chosen.sizes, chosen.quantize)
        base: dict[str, Any] = {}
        for placement in chosen.placements:
            command = [sys.executable, __file__, "--sizes", chosen.sizes, "--one", str(folder), placement]
            command += ["--quantize", chosen.quantize] if chosen.quantize else []
            ran = subprocess.run(command, capture_output=True, text=True, check=False)
            if ran.returncode:
                sys.stderr.write(f"{placement}: {ran.stderr}\n")
                rows.append(f"| {placement} | {plans[placement].total_bytes / GB:.2f} | failed | | | | |")
                continue
            found = json.loads(ran.stdout)
            base = base or found
            same = abs(found["frames"] - base["frames"]) < 1e-4 and abs(found["audio"] - base["audio"]) < 1e-4
            rows.append(
                f"| {placement} | {plans[placement].total_bytes / GB:.2f} | {found['peak'] / GB:.2f} | "
                f"{found['host_peak'] / GB:.2f} | {found['load_s']:.1f} | {found['step_s'] / base['step_s']:.2f} | "
                f"{'yes' if same else 'no'} |"
            )
            sys.stderr.write(rows[-1] + "\n")
    day = f"{datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}"
    versions = ", ".join(f"{name} {version(name)}" for name in ("mova", "torch", "diffusers"))
    clip = CLIPS[chosen.sizes]
    head = [
        f"# Memory of a clip by placement of the weights, {day}",
        "",
        f"{versions}; {platform.machine()}, {os.cpu_count()} cores, load at the end {os.getloadavg()[0]:.1f}; "
        f"`{' '.join(['benchmarks/bench_memory.py', *sys.argv[1:]])}`",
        "",
        f"Size {chosen.sizes}: {clip['width']}x{clip['height']}, {clip['num_frames']} frames.",
        "",
        "| placement | planned, GB | device peak, GB | host peak, GB | load, s | step, of the first | same clip |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    sys.stdout.write("\n".join([*head, *rows]) + "\n")


if __name__ == "__main__":
    main()
