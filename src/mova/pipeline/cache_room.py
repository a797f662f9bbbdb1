"""Whether a step cache has room beside a clip: asked before anything is computed, with the sizes of the modules."""

from __future__ import annotations

from mova.errors import ConfigError
from mova.models.bridge import CrossModalBridge
from mova.models.tower import VideoTower
from mova.pipeline.loop.step_cache import listening_layers
from mova.pipeline.run_plan import RunPlan
from mova.plan.memory import GB, USABLE_SHARE, MemoryPlan, Room, token_bytes
from mova.plan.step_cache import StepCacheUse


def step_cache_bytes(plan: RunPlan, tower: VideoTower, bridge: CrossModalBridge, order: int) -> int:
    """Return the bytes that a step cache of an order keeps while the clips of a call are made.

    Args:
        plan: of the call; the branches of its steps are counted for the expert that has most of them.
        tower: one expert.
        bridge: its bridge.
        order: see `StepCacheUse`.
    """
    config = tower.config
    blocks, layers = len(tower.blocks), len(listening_layers(bridge))
    per_token = max(
        StepCacheUse.of_branches(order, (branch.bridge for branch in branches)).token_bytes(
            config.dim, blocks, layers, tower.dtype.itemsize
        )
        for branches in (
            {branch for step in plan.steps if step.expert == expert for branch in step.mix.branches}
            for expert in {step.expert for step in plan.steps}
        )
    )
    return plan.batch_size * plan.geometry.num_video_tokens * per_token


def check_cache_room(
    plan: RunPlan, tower: VideoTower, bridge: CrossModalBridge, room: Room, placed: MemoryPlan | None
) -> None:
    """Refuse a step cache that does not fit.

    Args:
        plan: of the call.
        tower: one expert.
        bridge: its bridge.
        room: what is free now.
        placed: where the weights are offloaded to, which will need room too; None where they are on the device.

    Raises:
        ConfigError: what it keeps, what is free, and the order that fits.
    """
    settings, geometry = plan.settings, plan.geometry
    if not settings.step_cache:
        return
    config = tower.config
    forward = geometry.num_video_tokens * token_bytes(config.dim, config.ffn_dim, tower.dtype.itemsize)
    free = USABLE_SHARE * room.device_bytes - (forward if placed is None else placed.total_bytes)
    kept = {order: step_cache_bytes(plan, tower, bridge, order) for order in range(settings.step_cache_order + 1)}
    if kept[settings.step_cache_order] <= free:
        return
    fitting = next((order for order in reversed(kept) if kept[order] <= free), None)
    nearest = "step_cache=0, which is off" if fitting is None else f"step_cache_order={fitting}"
    raise ConfigError(
        f"step_cache of order {settings.step_cache_order} keeps {kept[settings.step_cache_order] / GB:.3g} GB for "
        f"{geometry.width}x{geometry.height}, {geometry.num_frames} frames, got {max(0.0, free) / GB:.3g} GB free "
        f"beside the model; nearest is {nearest}"
    )
