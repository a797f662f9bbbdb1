"""Rotary positions: properties that hold for every size."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mova.errors import ConfigError
from mova.geometry import ClipGeometry
from mova.models.rope import (
    RotaryTable,
    _write_halves,
    aligned_rotary,
    aligned_video_positions,
    audio_rotary,
    rotate_halves,
    rotate_pairs,
    split_head_dim,
    video_rotary,
)

CPU = torch.device("cpu")
SEEDS = st.integers(0, 2**31)
EVEN_DIMS = st.integers(3, 32).map(lambda half: 2 * half)
VALID_DIMS = st.sampled_from([12, 20, 24, 48, 60, 96, 128])


def _draw(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _at(table, position):
    return RotaryTable(table.cos[position : position + 1], table.sin[position : position + 1])


@given(seed=SEEDS, head_dim=EVEN_DIMS, rotate=st.sampled_from([rotate_pairs, rotate_halves]))
@settings(max_examples=25, deadline=None)
def test_rotation_keeps_lengths_and_position_zero(seed, head_dim, rotate):
    tokens = _draw(seed, 2, 9, 3, head_dim)
    turned = rotate(tokens, audio_rotary(9, head_dim, CPU))
    torch.testing.assert_close(turned.norm(dim=-1), tokens.norm(dim=-1), atol=1e-5, rtol=1e-5)
    assert torch.equal(turned[:, 0], tokens[:, 0])
    assert not torch.allclose(turned[:, 5], tokens[:, 5], atol=1e-3)


@given(
    seed=SEEDS,
    head_dim=EVEN_DIMS,
    positions=st.tuples(st.integers(0, 200), st.integers(0, 200), st.integers(0, 200)),
    rotate=st.sampled_from([rotate_pairs, rotate_halves]),
)
@settings(max_examples=25, deadline=None)
def test_scores_depend_on_the_distance_of_positions_only(seed, head_dim, positions, rotate):
    first, second, moved_by = positions
    table = audio_rotary(401, head_dim, CPU)
    query, key = _draw(seed, 2, 1, 1, 1, head_dim)
    here = (rotate(query, _at(table, first)) * rotate(key, _at(table, second))).sum()
    there = (rotate(query, _at(table, first + moved_by)) * rotate(key, _at(table, second + moved_by))).sum()
    torch.testing.assert_close(here, there, atol=1e-3, rtol=1e-3)


def test_the_two_conventions_pair_different_channels():
    tokens, table = torch.arange(8.0).view(1, 1, 1, 8), audio_rotary(2, 8, CPU)
    turned = _at(table, 1)
    cos, sin = turned.cos.flatten(), turned.sin.flatten()
    pairs, halves = rotate_pairs(tokens, turned).flatten(), rotate_halves(tokens, turned).flatten()
    torch.testing.assert_close(pairs[0], 0 * cos[0] - 1 * sin[0])
    torch.testing.assert_close(pairs[1], 0 * sin[0] + 1 * cos[0])
    torch.testing.assert_close(halves[0], 0 * cos[0] - 4 * sin[0])
    torch.testing.assert_close(halves[4], 0 * sin[0] + 4 * cos[0])


@pytest.mark.parametrize("rotate", [rotate_pairs, rotate_halves])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_rotation_is_rounded_once_and_the_same_with_gradients_and_without(rotate, dtype):
    table, tokens = audio_rotary(9, 48, CPU), _draw(1, 2, 9, 3, 48)
    kept = tokens.clone()
    turned = rotate(tokens, table, dtype)
    assert turned.dtype == dtype
    assert torch.equal(turned, rotate(tokens, table).to(dtype))
    with torch.no_grad():
        assert torch.equal(rotate(tokens, table, dtype), turned)
    assert torch.equal(tokens, kept)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@torch.no_grad()
def test_halves_that_a_gpu_writes_in_their_places_have_the_same_bits(dtype):
    table, tokens = audio_rotary(9, 48, CPU), _draw(1, 2, 9, 3, 48)
    written = _write_halves(*tokens.chunk(2, dim=-1), table, torch.empty(tokens.shape, dtype=dtype))
    assert torch.equal(written, rotate_halves(tokens, table, dtype))


def test_the_form_for_compilers_gives_the_same_rotation_and_gradients(monkeypatch):
    table = audio_rotary(9, 48, CPU)
    results = []
    for compiling in (False, True):
        monkeypatch.setattr(torch.compiler, "is_compiling", lambda value=compiling: value)
        tokens = _draw(1, 2, 9, 3, 48).requires_grad_()
        turned = rotate_pairs(tokens, table)
        (turned * _draw(2, 2, 9, 3, 48)).sum().backward()
        results.append((turned.detach(), tokens.grad))
    for plain, for_compilers in zip(*results, strict=True):
        torch.testing.assert_close(plain, for_compilers, atol=1e-6, rtol=1e-6)


@given(grid=st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(1, 5)), head_dim=VALID_DIMS)
@settings(max_examples=25, deadline=None)
def test_each_axis_turns_its_own_part_of_the_head(grid, head_dim):
    table = video_rotary(grid, head_dim, CPU)
    sizes = [part // 2 for part in split_head_dim(head_dim)]
    sines = table.sin.view(*grid, head_dim // 2).split(sizes, dim=-1)
    for axis, (part, size) in enumerate(zip(sines, sizes, strict=True)):
        alone = audio_rotary(grid[axis], 2 * size, CPU).sin[:, 0]
        shape = [grid[axis] if other == axis else 1 for other in range(3)]
        torch.testing.assert_close(part, alone.view(*shape, size).expand_as(part), atol=1e-7, rtol=0)


def test_the_published_head_splits_into_44_42_42():
    assert split_head_dim(128) == (44, 42, 42)
    assert split_head_dim(48) == (16, 16, 16)


@given(head_dim=st.integers(-3, 400))
@settings(max_examples=100, deadline=None)
def test_a_head_splits_into_even_parts_or_the_nearest_sizes_are_named(head_dim):
    try:
        parts = split_head_dim(head_dim)
    except ConfigError as error:
        message = str(error)
        assert f"got {head_dim};" in message
        numbers = [int(word) for word in message.split("nearest")[1].replace(",", " ").split() if word.isdigit()]
        assert numbers
        assert all(sum(split_head_dim(number)) == number for number in numbers)
    else:
        assert sum(parts) == head_dim
        assert all(part > 0 and part % 2 == 0 for part in parts)


def test_the_head_dimension_64_is_refused_with_its_neighbours():
    with pytest.raises(ConfigError, match="got 64; nearest are 62 and 66"):
        split_head_dim(64)


@given(
    num_frames=st.integers(1, 50),
    frame_rate=st.floats(1.0, 120.0),
    audio_rate=st.floats(1.0, 100.0),
    bias=st.booleans(),
)
@settings(max_examples=50, deadline=None)
def test_aligned_positions_are_times_in_audio_steps(num_frames, frame_rate, audio_rate, bias):
    positions = aligned_video_positions(num_frames, frame_rate, audio_rate, bias)
    assert positions[0] == 0
    # A latent frame covers four pixel frames; with the bias the first one covers one.
    first_s = (1.0 if bias else 4.0) / frame_rate
    expected_s = [0.0] + [first_s + 4.0 * index / frame_rate for index in range(num_frames - 1)]
    torch.testing.assert_close(positions / audio_rate, torch.tensor(expected_s, dtype=torch.float64))


def test_the_published_clip_ends_in_the_same_place_for_picture_and_sound():
    clip = ClipGeometry(height=352, width=640, num_frames=193)
    positions = aligned_video_positions(clip.num_latent_frames, 24.0, clip.codec.audio_latent_rate, False)
    assert positions[-1].item() == pytest.approx(400)
    assert clip.num_audio_latents - 1 == 402


@given(rate=st.sampled_from([12.0, 24.0, 25.0, 30.0]), space=st.tuples(st.integers(1, 3), st.integers(1, 3)))
@settings(max_examples=10, deadline=None)
def test_all_tokens_of_a_latent_frame_share_the_position_of_their_moment(rate, space):
    audio_rate = rate / 4  # one latent frame lasts one audio step
    video, audio = aligned_rotary((5, *space), 5, 24, rate, audio_rate, False, CPU)
    per_frame = video.cos.view(5, space[0] * space[1], -1)
    assert torch.equal(per_frame, per_frame[:, :1].expand_as(per_frame))
    assert torch.equal(per_frame[:, 0], audio.cos[:, 0])


def test_tables_are_made_once_per_grid():
    assert video_rotary((2, 3, 4), 24, CPU) is video_rotary((2, 3, 4), 24, CPU)
    assert video_rotary((2, 3, 4), 24, CPU) is not video_rotary((2, 4, 3), 24, CPU)
