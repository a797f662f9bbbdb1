"""Sounds go on as they rang."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mova.conditioning.linear_prediction import predict_onward

RATE = 16_000


@settings(max_examples=20, deadline=None)
@given(st.floats(300, 7000), st.floats(300, 7000), st.floats(0, 30))
def test_tones_go_on_with_phase_and_decay(first_hz, second_hz, decay):
    time_s = torch.arange(4000, dtype=torch.float64) / RATE
    sound = torch.exp(-decay * time_s) * (
        torch.sin(6.283 * first_hz * time_s) + 0.5 * torch.cos(6.283 * second_hz * time_s)
    )
    made = predict_onward(sound[:3200], 480, RATE)
    assert (made - sound[3200:3680]).abs().max() < 0.2 * sound[3000:3200].abs().max() + 1e-6


@pytest.mark.parametrize("length", [1, 2, 3, 7, 100, 5000])
@pytest.mark.parametrize("shape", [(), (2, 1)])
def test_whatever_the_length_nothing_grows(length, shape):
    noise = torch.randn(*shape, length, generator=torch.Generator().manual_seed(length))
    made = predict_onward(noise, 3000, RATE)
    assert made.shape == (*shape, 3000)
    assert made.dtype == noise.dtype
    assert made.abs().max() <= 2 * noise.abs().max()


def test_silence_stays_silent_and_a_level_stays():
    assert predict_onward(torch.zeros(1, 1, 2000), 100, RATE).abs().max() == 0
    assert torch.allclose(predict_onward(torch.full((2000,), 0.25), 100, RATE), torch.tensor(0.25), atol=1e-3)
