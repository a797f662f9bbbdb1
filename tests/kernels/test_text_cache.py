"""The text K/V cache: the same numbers, computed once, and nothing left on the models."""

import pytest
import torch

from mova.errors import ConfigError
from mova.kernels.text_cache import TextCache
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


def towers(model):
    return model.video_tower, model.audio_tower


def call(model, prompt, level=500.0):
    generator = torch.Generator().manual_seed(1)
    video, audio = torch.randn(2, 36, 3, 4, 4, generator=generator), torch.randn(2, 32, 9, generator=generator)
    times = torch.full((2,), level)
    return model(video, audio, times, times, prompt, frame_rate=24.0)


def test_a_cached_text_gives_the_same_bits_at_every_call(model):
    embeds = torch.randn(2, 5, 192)
    cache = TextCache(embeds)
    with torch.no_grad():
        for level in (900.0, 500.0, 20.0):
            plain = call(model, embeds, level)
            with cache.applied(*towers(model)) as same:
                cached = call(model, same, level)
            assert plain.video.equal(cached.video)
            assert plain.audio.equal(cached.audio)


def test_two_texts_in_turns_are_told_apart(model):
    texts = [torch.randn(2, 5, 192) for _ in range(2)]
    caches = [TextCache(text) for text in texts]
    with torch.no_grad():
        for _ in range(2):
            for text, cache in zip(texts, caches, strict=True):
                with cache.applied(*towers(model)):
                    cached = call(model, text)
                assert call(model, text).video.equal(cached.video)


def test_its_keys_and_values_are_computed_once(model):
    counts = {"text": 0, "keys": 0}
    layers = [(tower.text_embedding, "text") for tower in towers(model)]
    layers += [(block.cross_attn.k, "keys") for tower in towers(model) for block in tower.blocks]
    handles = [
        layer.register_forward_hook(lambda *_, name=name: counts.update({name: counts[name] + 1}))
        for layer, name in layers
    ]
    cache = TextCache(torch.randn(2, 5, 192))
    assert cache.size_bytes() == 0
    with torch.no_grad():
        for _ in range(3):
            with cache.applied(*towers(model)) as embeds:
                call(model, embeds)
    for handle in handles:
        handle.remove()
    assert counts == {"text": 2, "keys": 2 + 3}
    # Keys and values of 2 x 5 rows in float32, for each block.
    assert cache.size_bytes() == 2 * 2 * 5 * 4 * (2 * 192 + 3 * 144)
    cache.forget(model.video_tower)
    assert cache.size_bytes() == 2 * 2 * 5 * 4 * 3 * 144


@torch.no_grad()
def test_nothing_is_left_on_the_models_also_after_an_error(model):
    before = [set(vars(module)) for module in model.modules()]
    with pytest.raises(ZeroDivisionError), TextCache(torch.randn(2, 5, 192)).applied(*towers(model)):
        raise ZeroDivisionError
    assert [set(vars(module)) for module in model.modules()] == before


def test_it_is_refused_where_gradients_are_wanted(model):
    with (
        TextCache(torch.randn(2, 5, 192)).applied(*towers(model)) as embeds,
        pytest.raises(ConfigError, match=r"torch.no_grad\(\)"),
    ):
        call(model, embeds)


@torch.no_grad()
def test_another_text_is_refused(model):
    with (
        TextCache(torch.randn(2, 5, 192)).applied(*towers(model)),
        pytest.raises(ConfigError, match=r"embeddings it was made of, \(2, 5, 192\), got another tensor \(2, 7, 192\)"),
    ):
        call(model, torch.randn(2, 7, 192))


def test_two_caches_at_once_are_refused(model):
    first, second = (TextCache(torch.randn(2, 5, 192)) for _ in range(2))
    with (
        first.applied(*towers(model)),
        pytest.raises(ConfigError, match="one text cache at a time"),
        second.applied(model.audio_tower),
    ):
        pytest.fail("it was applied")
