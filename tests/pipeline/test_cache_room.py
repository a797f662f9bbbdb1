"""A step cache that does not fit is refused before anything is computed, with the order that does."""

import pytest
import torch

from mova.errors import ConfigError
from mova.models.dual_tower import DualTower
from mova.pipeline import placed
from mova.pipeline.cache_room import step_cache_bytes
from mova.pipeline.loop import step_cache
from mova.plan.memory import USABLE_SHARE, Room, token_bytes


def test_what_a_call_is_refused_for_is_what_it_would_keep(pipe, short, monkeypatch):
    sizes, plans = [], []
    exit_, check = step_cache.StepCache.__exit__, placed.check_cache_room

    def measured(cache, *error):
        sizes.append(cache.size_bytes())
        exit_(cache, *error)

    def noted(plan, *others):
        plans.append(plan)
        check(plan, *others)

    monkeypatch.setattr(step_cache.StepCache, "__exit__", measured)
    monkeypatch.setattr(placed, "check_cache_room", noted)
    options = short | {"num_inference_steps": 12, "guidance_scale": 2.0, "output_type": "latent", "seed": 0}
    pipe(["a dog", "a cat"], step_cache=1e-9, step_cache_order=1, **options)
    assert sizes == [step_cache_bytes(plans[0], pipe.video_dit, pipe.dual_tower_bridge, 1)]


@pytest.mark.parametrize(
    ("order", "fitting", "nearest"),
    [(2, 1, "step_cache_order=1"), (2, 0, "step_cache_order=0"), (0, None, "step_cache=0, which is off")],
)
def test_a_cache_without_room_is_refused(pipe, short, monkeypatch, order, fitting, nearest):
    check, tower = placed.check_cache_room, pipe.video_dit
    config = tower.config

    def with_room_for(plan, tower, bridge, _room, where):
        kept = 0 if fitting is None else step_cache_bytes(plan, tower, bridge, fitting)
        forward = plan.geometry.num_video_tokens * token_bytes(config.dim, config.ffn_dim, 4)
        room = Room(int((kept + forward) / USABLE_SHARE) + 2, 10**9, is_gpu=False)
        check(plan, tower, bridge, room, where)

    monkeypatch.setattr(placed, "check_cache_room", with_room_for)
    monkeypatch.setattr(pipe.text_encoder, "forward", lambda *_, **__: pytest.fail("nothing is computed"))
    said = rf"step_cache of order {order} keeps \S+ GB for 32x32, 5 frames, got \S+ GB free .* nearest is {nearest}"
    with pytest.raises(ConfigError, match=said):
        pipe("a dog", step_cache=0.1, step_cache_order=order, **short)


def test_layers_that_are_counted_are_those_that_may_be_repeated(pipe):
    model = DualTower(pipe.video_dit, pipe.audio_dit, pipe.dual_tower_bridge)
    with step_cache.StepCache([model], 0.1) as cache:
        hooked = [module for module, _ in cache._modules]
    listening = step_cache.listening_layers(pipe.dual_tower_bridge)
    assert len(hooked) == len(pipe.video_dit.blocks) + len(listening)
    assert all(any(layer is module for module in hooked) for layer in listening)
    assert isinstance(listening[0], torch.nn.Module)
