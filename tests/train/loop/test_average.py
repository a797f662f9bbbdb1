"""The average of the weights and its ramp."""

import pytest
import torch
from torch import nn

from mova.train.loop.average import WeightAverage


def test_the_average_follows_its_ramp_and_swaps_back():
    parameter = nn.Parameter(torch.tensor([1.0]))
    average = WeightAverage([parameter], decay=0.15)
    with torch.no_grad():
        parameter.fill_(2.0)
    average.update(0)  # decay 0.1
    assert average.shadow[0].item() == pytest.approx(0.1 * 1 + 0.9 * 2)
    with torch.no_grad():
        parameter.fill_(3.0)
    average.update(100)  # the ramp would give 0.92; the limit is 0.15
    expected = 0.15 * 1.9 + 0.85 * 3
    assert average.shadow[0].item() == pytest.approx(expected)
    average.swap()
    assert (parameter.item(), average.shadow[0].item()) == (pytest.approx(expected), 3.0)
    average.swap()
    assert (parameter.item(), average.shadow[0].item()) == (3.0, pytest.approx(expected))


def test_frozen_parameters_are_not_averaged():
    frozen, trained = nn.Parameter(torch.ones(1), requires_grad=False), nn.Parameter(torch.ones(1))
    assert len(WeightAverage([frozen, trained], 0.9).shadow) == 1
