"""SyncNet computes what the original computes from the same weights."""

import numpy as np
import pytest
import torch

import fill_weights
from mova.scorers.front_ends.mfcc import mfcc
from mova.scorers.networks.syncnet import SyncNet
from scorer_records import open_record

STARTS = (0, 7, 24)


@pytest.fixture(scope="module")
def record():
    return open_record("syncnet")


@pytest.fixture(scope="module")
def network(record):
    network = SyncNet().eval()
    network.load_state_dict(record.state_dict(), strict=False)
    return network.requires_grad_(False)


@pytest.fixture(scope="module")
def frames():
    """Return (3, 30, 224, 224)."""
    video = fill_weights.image("syncnet/video", 30, 224, 224)
    return torch.from_numpy(video).permute(3, 0, 1, 2).float()


def close(record, found, name):
    rule = record.facts["tolerance"]
    torch.testing.assert_close(found, record.tensors[name], atol=rule["suggested_atol"], rtol=rule["suggested_rtol"])


def test_names_and_shapes_are_the_published_ones(record):
    mine = {name: list(tensor.shape) for name, tensor in SyncNet().state_dict().items()}
    assert mine == {name: shape for name, (shape, _) in record.facts["state_dict"].items()}


def test_faces_give_the_recorded_embeddings(record, network, frames):
    windows = torch.stack([frames[:, start : start + 5] for start in STARTS])
    close(record, network.forward_lipfeat(windows), "output.lip_features")
    close(record, network.forward_lip(windows), "output.lip_embedding")


def test_speech_gives_the_recorded_embeddings(record, network):
    sound = fill_weights.waveform("syncnet/sound", 19_200, 16_000)
    columns = torch.from_numpy(mfcc(sound).T.astype(np.float32))
    windows = torch.stack([columns[None, :, 4 * start : 4 * start + 20] for start in STARTS])
    close(record, network.forward_aud(windows), "output.audio_embedding")
    lips, speech = network(torch.zeros(1, 3, 5, 224, 224), windows[:1])
    assert lips.shape == speech.shape == (1, 1024)


def test_windows_that_follow_each_other_are_looked_at_together(network, frames):
    together = network.lip_windows(frames[:, :7])
    alone = network.forward_lip(torch.stack([frames[:, start : start + 5] for start in range(3)]))
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-5)
