"""Own samples in a stream of decoded ones."""

from itertools import pairwise

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mova.conditioning.kept import OwnSamples, keep_samples

RATE, LENGTH, END = 16_000, 6000, 2400
TIME = np.arange(LENGTH) / RATE
DECODED = torch.from_numpy(0.4 * np.sin(2 * np.pi * 220 * TIME)).float()[None, None]
# What an autoencoder makes of it differs a little.
OWN = (0.38 * np.sin(2 * np.pi * 220 * TIME + 0.2))[None, : END + 100].astype(np.float32)


def put(cuts, end=END):
    own = OwnSamples(OWN, end, RATE)
    edges = [0, *sorted(cuts), LENGTH]
    return torch.cat([own.put(DECODED[..., first:last]) for first, last in pairwise(edges)], dim=-1)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, LENGTH), max_size=6))
def test_pieces_do_not_matter_and_give_what_the_whole_gives(cuts):
    own = torch.nn.functional.pad(torch.from_numpy(OWN)[None], (0, LENGTH - OWN.shape[-1]))
    assert torch.equal(put(cuts), keep_samples(DECODED, own, [(0, END)], RATE))


def test_audio_that_lasts_to_the_end_is_kept_whole():
    assert np.array_equal(put([700], end=None)[0, :, : OWN.shape[1]].numpy(), OWN)


def test_without_own_samples_decoded_ones_stay():
    assert torch.equal(OwnSamples(None, None, RATE).put(DECODED), DECODED)


def test_audio_of_which_nothing_is_left_is_decoded():
    assert torch.equal(OwnSamples(OWN[:, :50], -20, RATE).put(DECODED), DECODED)
