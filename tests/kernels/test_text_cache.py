"""Texts that are remembered from call to call: the same numbers, computed once."""

import pytest
import torch

from mova.errors import ConfigError
from mova.kernels.text_cache import PromptMemory
from mova.models.bridge import CrossModalBridge
from mova.models.dual_tower import DualTower
from mova.models.presets import tiny
from mova.models.tower import AudioTower, VideoTower


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    sizes = tiny()
    return DualTower(
        VideoTower(**sizes["video_dit"] | {"num_layers": 2}),
        AudioTower(**sizes["audio_dit"] | {"num_layers": 3}),
        CrossModalBridge(**sizes["dual_tower_bridge"] | {"visual_layers": 2, "audio_layers": 3}),
    )


def call(model, prompt, level=500.0):
    generator = torch.Generator().manual_seed(1)
    video, audio = torch.randn(2, 36, 3, 4, 4, generator=generator), torch.randn(2, 32, 9, generator=generator)
    times = torch.full((2,), level)
    return model(video, audio, times, times, prompt, frame_rate=24.0)


def test_a_remembered_text_gives_the_same_bits_at_every_call(model):
    embeds = torch.randn(2, 5, 192)
    memory = PromptMemory(embeds)
    with torch.no_grad():
        for level in (900.0, 500.0, 20.0):
            plain, remembered = call(model, embeds, level), call(model, memory, level)
            assert plain.video.equal(remembered.video)
            assert plain.audio.equal(remembered.audio)


def test_its_keys_and_values_are_computed_once(model):
    counts = {"text": 0, "keys": 0}
    layers = [(model.video_tower.text_embedding, "text"), (model.audio_tower.text_embedding, "text")]
    layers += [(b.cross_attn.k, "keys") for t in (model.video_tower, model.audio_tower) for b in t.blocks]
    handles = [
        layer.register_forward_hook(lambda *_, name=name: counts.update({name: counts[name] + 1}))
        for layer, name in layers
    ]
    memory = PromptMemory(torch.randn(2, 5, 192))
    assert memory.size_bytes() == 0
    with torch.no_grad():
        for _ in range(3):
            call(model, memory)
    for handle in handles:
        handle.remove()
    assert counts == {"text": 2, "keys": 2 + 3}
    # Keys and values of 2 x 5 rows in float32, for each block.
    assert memory.size_bytes() == 2 * 2 * 5 * 4 * (2 * 192 + 3 * 144)
    memory.forget(model.video_tower)
    assert memory.size_bytes() == 2 * 2 * 5 * 4 * 3 * 144


def test_it_is_refused_where_gradients_are_wanted(model):
    with pytest.raises(ConfigError, match=r"torch.no_grad\(\)"):
        call(model, PromptMemory(torch.randn(2, 5, 192)))
