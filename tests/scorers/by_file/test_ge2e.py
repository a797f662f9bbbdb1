"""Voices that are alike and voices that are not."""

import numpy as np
import pytest
import torch

from mova.scorers.by_file.ge2e import VoiceEncoder, voice_embeddings
from shared_speech import speak


def voice(weights, *arguments):
    mean = voice_embeddings(speak(6.0, *arguments), weights).mean(axis=0)
    return mean / np.linalg.norm(mean)


def test_a_voice_is_nearer_to_itself_than_to_another_whatever_is_said(weights):
    one, again, other = voice(weights, 0), voice(weights, 1), voice(weights, 2, 220, 1.2)
    assert one @ again > 0.9
    assert one @ again > one @ other + 0.1


def test_embeddings_are_unit_vectors_of_windows_and_do_not_depend_on_the_level(weights):
    sound = speak(4.0)
    found = voice_embeddings(sound, weights)
    assert found.shape == ((401 - 160) // 77 + 1, 256)
    assert np.linalg.norm(found, axis=1) == pytest.approx(1.0)
    quiet = voice_embeddings(0.01 * sound, weights)
    assert (quiet * voice_embeddings(0.02 * sound, weights)).sum(axis=1) == pytest.approx(1.0, abs=1e-4)
    assert voice_embeddings(sound[:8000], weights).shape == (1, 256)


def test_a_network_without_weights_has_the_shapes_of_the_published_one():
    shapes = {name: tuple(value.shape) for name, value in VoiceEncoder().state_dict().items()}
    assert shapes["lstm.weight_ih_l0"] == (1024, 40)
    assert shapes["lstm.weight_hh_l2"] == (1024, 256)
    assert shapes["linear.weight"] == (256, 256)
    assert VoiceEncoder()(torch.zeros(2, 160, 40)).shape == (2, 256)
