"""Cnn14 computes what the original does, and at other sizes too."""

import numpy as np
import pytest
import torch

import fill_weights
from mova.errors import ConfigError
from mova.scorers.front_ends.published_mels import cnn14_mel
from mova.scorers.networks.cnn14 import FRONT_END, Cnn14
from mova.scorers.sets.inception import class_shares, inception_score, sigmoid
from scorer_records import names_of, open_record

WIDTHS = (4, 4, 6, 6, 8, 8)


@pytest.fixture(scope="module")
def record():
    return open_record("cnn14")


@pytest.fixture(scope="module")
def mels():
    lengths = (257334, 320000, 352000)
    sounds = [fill_weights.waveform(f"cnn14/sound{i}", length, 32000) for i, length in enumerate(lengths)]
    return torch.stack([cnn14_mel(sound.astype(np.float32) / 32768) for sound in sounds])


def test_names_and_shapes_are_the_published_ones(record):
    published = record.facts["state_dict"]
    assert names_of(lambda: Cnn14(holds_front_end=True)) == published
    without = {name: facts for name, facts in published.items() if not name.startswith(FRONT_END)}
    assert names_of(Cnn14) == without


def test_log_mels_are_the_recorded_ones(record, mels):
    tolerance = record.facts["tolerance"]["logmel_atol"]
    torch.testing.assert_close(mels[0], record.tensors["frontend.logmel_first"], atol=tolerance, rtol=0)
    torch.testing.assert_close(mels[:, ::20], record.tensors["frontend.logmel_every_20th"], atol=tolerance, rtol=0)


def heard(record, mels):
    with torch.inference_mode():
        return record.network(Cnn14)(mels)


def test_outputs_of_a_sound_are_the_recorded_ones(record, mels):
    logits, embedding = heard(record, mels[:1])
    torch.testing.assert_close(
        logits.sigmoid(), record.tensors["output.clipwise"][:1], **record.near("output.clipwise")
    )
    torch.testing.assert_close(embedding, record.tensors["output.embedding"][:1], **record.near("output.clipwise"))


@pytest.mark.slow
def test_outputs_of_all_sounds_are_the_recorded_ones_and_so_is_their_score(record, mels):
    logits, embedding = heard(record, mels)
    torch.testing.assert_close(logits.sigmoid(), record.tensors["output.clipwise"], **record.near("output.clipwise"))
    torch.testing.assert_close(embedding, record.tensors["output.embedding"], **record.near("output.clipwise"))
    shares = torch.from_numpy(class_shares(sigmoid(logits.double().numpy()))).float()
    torch.testing.assert_close(shares, record.tensors["output.softmax"], **record.near("output.clipwise"))
    score = inception_score(logits.numpy(), splits=1)
    assert score.value == pytest.approx(float(record.tensors["output.inception_score"]), rel=1e-5)


@pytest.mark.parametrize("steps", [32, 45, 101])
def test_any_length_that_can_be_halved_gives_finite_outputs(steps):
    network = Cnn14(WIDTHS, num_classes=5, num_bands=32).eval()
    with torch.inference_mode():
        logits, embedding = network(torch.randn(2, steps, 32))
        alone = network(torch.zeros(1, steps, 32))
    assert (logits.shape, embedding.shape) == ((2, 5), (2, 8))
    assert torch.isfinite(alone.logits).all()


def test_a_length_that_cannot_be_halved_is_an_error():
    with pytest.raises(ConfigError, match="must have at least 32 steps, got 31; nearest is 32"):
        Cnn14(WIDTHS).eval()(torch.zeros(1, 31, 64))
