"""Latents to tokens and back."""

from __future__ import annotations

import pytest
import torch
from einops import rearrange
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from mova.errors import ConfigError, GeometryError
from mova.models.patchify import PatchEmbedding, token_grid, unpatchify

SMALL = st.integers(1, 3)


@given(grid=st.tuples(SMALL, SMALL, SMALL), patch=st.tuples(SMALL, SMALL, SMALL), channels=SMALL)
@settings(max_examples=25, deadline=None)
def test_video_embedding_equals_the_strided_convolution(grid, patch, channels):
    torch.manual_seed(0)
    embedding = PatchEmbedding(channels, 6, patch)
    latents = torch.randn(2, channels, *(cells * step for cells, step in zip(grid, patch, strict=True)))
    convolved = functional.conv3d(latents, embedding.weight, embedding.bias, stride=patch).flatten(2).transpose(1, 2)
    torch.testing.assert_close(embedding(latents), convolved, atol=1e-5, rtol=1e-5)
    assert token_grid(latents, patch) == grid


@given(length=SMALL, patch=SMALL, channels=SMALL)
@settings(max_examples=15, deadline=None)
def test_audio_embedding_equals_the_strided_convolution(length, patch, channels):
    torch.manual_seed(0)
    embedding = PatchEmbedding(channels, 6, (patch,))
    latents = torch.randn(2, channels, length * patch)
    convolved = functional.conv1d(latents, embedding.weight, embedding.bias, stride=patch).transpose(1, 2)
    torch.testing.assert_close(embedding(latents), convolved, atol=1e-5, rtol=1e-5)


@given(grid=st.tuples(SMALL, SMALL, SMALL), patch=st.tuples(SMALL, SMALL, SMALL), channels=SMALL)
@settings(max_examples=25, deadline=None)
def test_unpatchify_puts_every_cell_where_it_was(grid, patch, channels):
    latents = torch.randn(2, channels, *(cells * step for cells, step in zip(grid, patch, strict=True)))
    sizes = dict(zip(("t", "h", "w", "x", "y", "z"), (*grid, *patch), strict=True))
    tokens = rearrange(latents, "b c (t x) (h y) (w z) -> b (t h w) (x y z c)", **sizes)
    assert torch.equal(unpatchify(tokens, grid, patch), latents)


def test_audio_unpatchify_puts_every_step_where_it_was():
    latents = torch.randn(2, 3, 8)
    tokens = rearrange(latents, "b c (t x) -> b t (x c)", x=2)
    assert torch.equal(unpatchify(tokens, (4,), (2,)), latents)


def test_sizes_that_no_patch_covers_are_refused_with_their_neighbours():
    with pytest.raises(
        GeometryError, match="latent size w must be a positive multiple of 2, got 7; nearest are 6 and 8"
    ):
        token_grid(torch.zeros(1, 4, 1, 2, 7), (1, 2, 2))
    with pytest.raises(GeometryError, match="latents must have 3 axes"):
        token_grid(torch.zeros(1, 4, 1, 2, 7), (1,))
    with pytest.raises(ConfigError, match=r"1 or 3 axes, got \[2, 2\]"):
        PatchEmbedding(1, 1, (2, 2))
