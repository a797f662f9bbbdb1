"""What the processes of test_sharded_init do: build components of a few hundred MB, each process its rows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch

from mova.distributed.fsdp import local, shard_model
from mova.distributed.mesh import Parallel, start_parallel
from mova.distributed.sharded_init import ShardedInit
from mova.models.experts import Experts, pair_towers
from mova.names import COMPONENTS
from mova.train.build.components import build_components
from mova.train.config.joint import StartConfig

CPU = torch.device("cpu")
TOWER = {"num_layers": 8, "text_dim": 384, "freq_dim": 64}
VIDEO = TOWER | {"dim": 384, "num_heads": 4, "ffn_dim": 1536}
# Nothing here divides by 4 but by accident: 90 rows, 2 heads, a scale of one number.
CHANGES: Any = {
    "video_dit": VIDEO,
    "video_dit_2": VIDEO,
    "audio_dit": TOWER | {"dim": 90, "num_heads": 3, "ffn_dim": 131},
    "dual_tower_bridge": {
        "visual_layers": 8,
        "audio_layers": 8,
        "visual_hidden_dim": 384,
        "audio_hidden_dim": 90,
        "head_dim": 6,
        "trainable_condition_scale": True,
    },
}
NEW = StartConfig(**dict.fromkeys(COMPONENTS, "new")).model_copy(update={"changes": CHANGES})


def spread(_rank: int, folder: Path) -> dict[str, Any]:
    """Build new and stored components in two layouts; compare them with `folder / whole`, and count memory."""
    found: dict[str, Any] = {}
    stored = StartConfig(**dict.fromkeys(COMPONENTS, "model"))
    expected = torch.load(folder.parent / "whole.pt", mmap=True)
    for name, start, layout in (
        ("new", NEW, {"shard": 4}),
        ("stored", stored, {"shard": 2, "ring": 2}),
        ("hybrid", NEW, {"replicate": 2, "shard": 2}),
    ):
        parallel = start_parallel(**layout)
        torch.manual_seed(5)
        before = _rss("VmRSS")
        components = _built(start, folder.parent, parallel)
        peak = _rss("VmHWM") - before
        draw = float(torch.rand(()))
        own = sum(local(p).numel() * p.element_size() for part in components.values() for p in part.parameters())
        wrong = [
            f"{part}/{key}"
            for part, component in components.items()
            for key, value in component.state_dict().items()
            if not torch.equal(local(value), _chunk(expected[f"{part}/{key}"], parallel))
        ]
        trained = all(component.training for component in components.values())
        found[name] = {"peak": peak, "own": own, "wrong": wrong, "draw": draw, "training": trained}
        del components
    return found


def _chunk(whole: torch.Tensor, parallel: Parallel) -> torch.Tensor:
    shards = parallel.world_size // parallel.replicate
    chunks, place = torch.chunk(whole, shards), parallel.rank % shards
    return chunks[place] if place < len(chunks) else whole[:0]


def _built(start: StartConfig, model: Path, parallel: Parallel) -> dict[str, Any]:
    own = ShardedInit(parallel, CPU)
    components = build_components(start, COMPONENTS, model, own)
    assert all(p.is_meta for component in components.values() for p in component.parameters())
    by_name = {str(name): component for name, component in components.items()}
    root = Experts(pair_towers(components))
    shard_model(root, by_name, parallel)
    own.fill()
    return by_name


def _rss(name: str) -> int:
    """Return the memory of this process in bytes, now (VmRSS) or at most since this was asked for (VmHWM)."""
    text = Path("/proc/self/status").read_text()
    found = re.search(rf"{name}:\s+(\d+) kB", text)
    assert found
    Path("/proc/self/clear_refs").write_text("5")
    return 1024 * int(found[1])
