"""Own samples in a stream of decoded ones."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mova.pipeline.long.decoding import OwnSamples

LENGTH, END, FADE = 2000, 1200, 80
TIME = np.arange(LENGTH) / 16_000
DECODED = torch.from_numpy(0.4 * np.sin(2 * np.pi * 220 * TIME)).float()[None, None]
OWN = (0.4 * np.sin(2 * np.pi * 220 * TIME + 0.4) + 0.3)[None, :END].astype(np.float32)


def put(cuts):
    own = OwnSamples(OWN, FADE)
    edges = [0, *sorted(cuts), LENGTH]
    return torch.cat([own.put(DECODED[..., first:last]) for first, last in pairwise(edges)], dim=-1)[0].numpy()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, LENGTH), max_size=6))
def test_pieces_do_not_matter(cuts):
    assert np.array_equal(put(cuts), put([]))


def test_what_is_given_is_kept_and_what_is_decoded_follows_without_a_click():
    made = put([700])
    assert np.array_equal(made[:, :END], OWN)
    assert np.array_equal(made[:, END + FADE :], DECODED[0, :, END + FADE :].numpy())
    plain = np.concatenate([OWN, DECODED[0, :, END:].numpy()], axis=1)
    smooth = np.abs(np.diff(DECODED[0, 0].numpy())).max()
    assert np.abs(np.diff(plain[0])).max() > 3 * smooth
    assert np.abs(np.diff(made[0])).max() < 2 * smooth


@pytest.mark.parametrize("own", [None, np.zeros((1, 0), np.float32)])
def test_without_own_samples_decoded_ones_stay(own):
    assert torch.equal(OwnSamples(own, FADE).put(DECODED), DECODED)
