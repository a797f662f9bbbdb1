"""What diffusers' caches of blocks do with two towers that meet at a bridge, beside the step cache of this package.

    .venv/bin/python benchmarks/probe_step_cache.py

Figures of docs/decisions/0009-step-cache.md. The joint forward of `mova-tiny` is called twice with the same inputs, so
a cache that puts its parts together rightly gives the first velocities again, up to rounding. The last rows have
another noise level in the second call.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import torch
from diffusers import CacheMixin
from diffusers.hooks import (
    FirstBlockCacheConfig,
    PyramidAttentionBroadcastConfig,
    TaylorSeerCacheConfig,
    apply_first_block_cache,
    apply_pyramid_attention_broadcast,
    apply_taylorseer_cache,
)
from diffusers.hooks._helpers import TransformerBlockMetadata, TransformerBlockRegistry

import mova
from mova.models.dit_block import DiTBlock
from mova.models.dual_tower import DualTower
from mova.models.tower import VideoTower
from mova.pipeline.loop.step_cache import StepCache
from mova.types import Velocities

Applied = AbstractContextManager[object]
Attempt = Callable[[DualTower], Applied]


def make_model() -> DualTower:
    pipe = mova.MovaPipeline.from_pretrained("mova-tiny")
    return DualTower(pipe.video_dit, pipe.audio_dit, pipe.dual_tower_bridge)


def call(model: DualTower, level: float = 900.0) -> Velocities:
    generator = torch.Generator().manual_seed(0)
    video, audio = torch.randn(1, 36, 2, 12, 12, generator=generator), torch.randn(1, 32, 40, generator=generator)
    text, times = torch.randn(1, 8, 192, generator=generator), torch.full((1,), level)
    with torch.no_grad():
        return model(video, audio, times, times, text, frame_rate=24.0)


def cache_context(tower: VideoTower) -> Applied:
    """Name the kind of call, as `CacheMixin` does for models of diffusers; without it its caches refuse to work."""
    return CacheMixin.cache_context(tower, "text")


def first_block(model: DualTower) -> Applied:
    apply_first_block_cache(model.video_tower, FirstBlockCacheConfig(threshold=0.05))
    return cache_context(model.video_tower)


def first_block_registered(model: DualTower, *, by_place: bool) -> Applied:
    metadata = TransformerBlockMetadata(return_hidden_states_index=0, hidden_states_argument_name="tokens_BLD")
    if by_place:
        # The hooks ask for an argument named `hidden_states`, whatever name is registered.
        metadata._cached_parameter_indices = {"hidden_states": 0}
    TransformerBlockRegistry.register(DiTBlock, metadata)
    return first_block(model)


def taylor_seer(model: DualTower, *, identifiers: list[str] | None) -> Applied:
    config = TaylorSeerCacheConfig(
        cache_interval=2, disable_cache_before_step=1, cache_identifiers=identifiers, taylor_factors_dtype=torch.float32
    )
    apply_taylorseer_cache(model.video_tower, config)
    return cache_context(model.video_tower)


def pyramid(model: DualTower) -> Applied:
    config = PyramidAttentionBroadcastConfig(
        spatial_attention_block_skip_range=2, current_timestep_callback=lambda: 500
    )
    apply_pyramid_attention_broadcast(model.video_tower, config)
    return nullcontext()


def step_cache(model: DualTower) -> Applied:
    cache = StepCache([model], 0.05)
    cache.begin("high_noise", ("text",))
    return cache


ATTEMPTS: dict[str, Attempt] = {
    "FirstBlockCache": first_block,
    "the same, DiTBlock in diffusers' private registry": partial(first_block_registered, by_place=False),
    "the same, with the place of its argument": partial(first_block_registered, by_place=True),
    "PyramidAttentionBroadcast": pyramid,
    "TaylorSeerCache": partial(taylor_seer, identifiers=None),
    "TaylorSeerCache of whole blocks": partial(taylor_seer, identifiers=[r"blocks\.\d+"]),
    "StepCache": step_cache,
}


def attempt(apply: Attempt, second_level: float) -> str:
    """Return which share of blocks the second call computed, and how far its velocities are from plain ones."""
    expected, model = call(make_model(), second_level), make_model()
    computed = {"video": 0, "audio": 0}
    towers = {"video": model.video_tower, "audio": model.audio_tower}

    def counter(name: str) -> Callable[..., None]:
        def count(*_: object) -> None:
            computed[name] += 1

        return count

    for name, tower in towers.items():
        for block in tower.blocks:
            # Inside of a block, where nothing comes by when something else takes its place.
            block.self_attn.o.register_forward_hook(counter(name))
    with apply(model):
        call(model)
        computed.update(video=0, audio=0)
        found = call(model, second_level)
    shares = (f"{name} {computed[name]} of {len(tower.blocks)}" for name, tower in towers.items())
    pairs = {"video": (found.video, expected.video), "audio": (found.audio, expected.audio)}
    errors = (f"{name} {float((one - two).abs().max() / two.abs().max()):.1e}" for name, (one, two) in pairs.items())
    return f"{', '.join(shares)} | {', '.join(errors)}"


def main() -> None:
    sys.stdout.write("| cache | attentions computed in the second call | velocities off by |\n| --- | --- | --- |\n")
    rows = [(name, apply, 900.0) for name, apply in ATTEMPTS.items()]
    others = ("PyramidAttentionBroadcast", "TaylorSeerCache of whole blocks", "StepCache")
    rows += [(f"{name}, 900 then 890", ATTEMPTS[name], 890.0) for name in others]
    for name, apply, level in rows:
        try:
            said = attempt(apply, level)
        except Exception as error:
            said = f"{type(error).__name__}: {str(error).splitlines()[0]} | -"
        sys.stdout.write(f"| {name} | {said} |\n")


if __name__ == "__main__":
    main()
