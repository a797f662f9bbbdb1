"""Own samples in a stream of decoded ones."""

from itertools import pairwise

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mova.pipeline.long.decoding import OwnSamples

LENGTH, END, FADE = 2000, 1200, 480
TIME = np.arange(LENGTH) / 16_000
DECODED = torch.from_numpy(0.4 * np.sin(2 * np.pi * 220 * TIME)).float()[None, None]
# What an autoencoder makes of it differs a little.
OWN = (0.38 * np.sin(2 * np.pi * 220 * TIME + 0.2))[None, : END + 100].astype(np.float32)


def put(cuts, end=END):
    own = OwnSamples(OWN, end, FADE)
    edges = [0, *sorted(cuts), LENGTH]
    return torch.cat([own.put(DECODED[..., first:last]) for first, last in pairwise(edges)], dim=-1)[0].numpy()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, LENGTH), max_size=6))
def test_pieces_do_not_matter(cuts):
    assert np.array_equal(put(cuts), put([]))


def test_what_is_given_is_kept_and_passes_over_into_what_is_decoded():
    made = put([700])
    assert np.array_equal(made[:, : END - FADE], OWN[:, : END - FADE])
    assert np.array_equal(made[:, END:], DECODED[0, :, END:].numpy())
    smooth = np.abs(np.diff(DECODED[0, 0].numpy(), 2)).max()
    assert np.abs(np.diff(made[0], 2)).max() < 1.1 * smooth
    cut = np.concatenate([OWN[0, :END], DECODED[0, 0, END:].numpy()])
    assert np.abs(np.diff(cut, 2)).max() > 2 * smooth


def test_audio_that_lasts_to_the_end_is_kept_whole():
    assert np.array_equal(put([700], end=None)[:, : OWN.shape[1]], OWN)


def test_without_own_samples_decoded_ones_stay():
    assert torch.equal(OwnSamples(None, None, FADE).put(DECODED), DECODED)


def test_audio_that_is_shorter_than_the_fade_is_decoded():
    made = OwnSamples(OWN[:, :50], -20, FADE).put(DECODED)
    assert torch.equal(made, DECODED)
