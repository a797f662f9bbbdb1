"""The caller's own frames and samples take the place of decoded ones, without a click where they end."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mova.conditioning.kept import FADE_S, OwnSamples, keep_frames, keep_samples

RATE = 48_000
STREAM_RATE, LENGTH, END = 16_000, 6000, 2400
TIME = np.arange(LENGTH) / STREAM_RATE
DECODED = torch.from_numpy(0.4 * np.sin(2 * np.pi * 220 * TIME)).float()[None, None]
# What an autoencoder makes of it differs a little.
OWN = (0.38 * np.sin(2 * np.pi * 220 * TIME + 0.2))[None, : END + 100].astype(np.float32)


def test_own_frames_stand_in_their_parts_and_decoded_ones_elsewhere():
    decoded, own = torch.zeros(2, 3, 9, 4, 4), torch.rand(2, 3, 9, 4, 4)
    made = keep_frames(decoded, own, [(0, 1), (5, 9)])
    assert torch.equal(made[:, :, :1], own[:, :, :1])
    assert torch.equal(made[:, :, 5:], own[:, :, 5:])
    assert made[:, :, 1:5].abs().max() == decoded.abs().max() == 0


@pytest.mark.parametrize(
    "parts", [[(0, 4000)], [(4000, 9600)], [(0, 3000), (6000, 9600)], [(3000, 6000)], [(0, 3000), (3010, 9600)]]
)
def test_own_samples_are_kept_to_the_bit_and_no_click_is_added(parts):
    time_s = torch.arange(9600) / RATE
    decoded = 0.5 * torch.sin(2 * torch.pi * 200 * time_s)[None, None]
    # What was decoded lies off the caller's own samples by a tone and a little offset.
    own = decoded + 0.1 * torch.cos(2 * torch.pi * 150 * time_s) + 0.05
    made = keep_samples(decoded, own, parts, RATE)
    for first, end in parts:
        assert torch.equal(made[..., first:end], own[..., first:end])
    steepest = own.diff().abs().max() * 1.5
    assert made.diff().abs().max() < steepest
    plain = decoded.clone()
    for first, end in parts:
        plain[..., first:end] = own[..., first:end]
    assert plain.diff().abs().max() > steepest
    fade = round(FADE_S * RATE)
    free = torch.ones(9600, dtype=torch.bool)
    for first, end in parts:
        free[max(0, first - fade) : end + fade] = False
    assert torch.equal(made[..., free], decoded[..., free])


@settings(max_examples=20, deadline=None)
@given(st.floats(200, 6000), st.floats(-3, 3), st.floats(0.3, 1.0), st.floats(3, 40))
def test_a_ring_that_was_decoded_with_another_phase_does_not_click(pitch_hz, phase, loudness, decay):
    rate, end = 16_000, 8000
    time_s = torch.arange(16_000, dtype=torch.float64) / rate
    ring = torch.exp(-decay * time_s)
    own = (0.4 * ring * torch.sin(2 * torch.pi * pitch_hz * time_s)).float()[None, None]
    decoded = (0.4 * loudness * ring * torch.sin(2 * torch.pi * pitch_hz * time_s + phase)).float()[None, None]
    made = keep_samples(decoded, own, [(0, end)], rate)
    # What is new at a border is what no line of the past predicts: the second difference stays that of the ring itself.
    curve = 1.05 * own[..., end - 600 : end].diff(n=2).abs().max() + 1e-5
    assert made[..., end - 20 : end + 1200].diff(n=2).abs().max() <= curve


@pytest.mark.parametrize("length", [1, 2, 5, 60])
def test_a_part_of_a_few_samples_is_kept(length):
    decoded, own = torch.zeros(2, 1, 4000), torch.full((2, 1, 4000), 0.5)
    made = keep_samples(decoded, own, [(2000, 2000 + length)], 16_000)
    assert torch.equal(made[..., 2000 : 2000 + length], own[..., :length])
    assert made.abs().max() <= 0.51
    assert made[..., :1000].abs().max() == made[..., 3000 + length :].abs().max() == 0


def put(cuts, end=END):
    own = OwnSamples(OWN, end, STREAM_RATE)
    edges = [0, *sorted(cuts), LENGTH]
    return torch.cat([own.put(DECODED[..., first:last]) for first, last in pairwise(edges)], dim=-1)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, LENGTH), max_size=6))
def test_pieces_do_not_matter_and_give_what_the_whole_gives(cuts):
    own = torch.nn.functional.pad(torch.from_numpy(OWN)[None], (0, LENGTH - OWN.shape[-1]))
    assert torch.equal(put(cuts), keep_samples(DECODED, own, [(0, END)], STREAM_RATE))


def test_audio_that_lasts_to_the_end_is_kept_whole():
    assert np.array_equal(put([700], end=None)[0, :, : OWN.shape[1]].numpy(), OWN)


def test_without_own_samples_decoded_ones_stay():
    assert torch.equal(OwnSamples(None, None, STREAM_RATE).put(DECODED), DECODED)


def test_audio_of_which_nothing_is_left_is_decoded():
    assert torch.equal(OwnSamples(OWN[:, :50], -20, STREAM_RATE).put(DECODED), DECODED)
