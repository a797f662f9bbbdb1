"""Synchformer's head computes what the original does, and takes as many segments as it was made for."""

import pytest
import torch

import fill_weights
from mova.errors import ConfigError
from mova.scorers.networks.synchformer.model import Synchformer
from mova.scorers.networks.synchformer.sizes import SynchformerSizes
from scorer_records import names_of, open_record

SMALL = SynchformerSizes(
    dim=16, depth=2, heads=2, image=32, frames=4, mel_bands=36, mel_steps=26, segments=3, head_depth=1, head_heads=4
)


@pytest.fixture(scope="module")
def record():
    return open_record("synchformer")


def test_names_and_shapes_are_the_published_ones(record):
    assert names_of(Synchformer) == record.facts["state_dict"]


def test_features_become_the_recorded_logits(record):
    network = record.network(Synchformer, "vproj.", "aproj.", "transformer.")
    drawn = [
        torch.from_numpy(fill_weights.normal(f"synchformer/head/{name}", (2, 14, steps, 768)))
        for name, steps in (("video", 8), ("sound", 6))
    ]
    tiled = [
        record.tensors[f"output.{name}_features"][:, torch.arange(14) % 2].contiguous() for name in ("video", "sound")
    ]
    with torch.inference_mode():
        logits, again = network.logits(*drawn), network.logits(*tiled)
    record.check(logits, "output.logits")
    record.check(again, "output.logits_tiled")
    assert torch.equal(logits.argmax(-1), record.tensors["output.argmax"])
    torch.testing.assert_close(network.offsets_s(), record.tensors["output.class_grid"], atol=1e-6, rtol=0)


def test_a_network_of_other_sizes_gives_logits_of_its_classes():
    network = Synchformer(SMALL).eval()
    fill_weights.fill(network.state_dict())
    segments, mels = torch.randn(2, 3, 4, 3, 32, 32), torch.randn(2, 3, 26, 36)
    with torch.inference_mode():
        video, audio = network.video_features(segments), network.audio_features(mels)
        logits = network(segments, mels)
        torch.testing.assert_close(logits, network.logits(video, audio))
    assert (video.shape, audio.shape, logits.shape) == ((2, 3, 2, 16), (2, 3, 2, 16), (2, 21))


@pytest.mark.parametrize(("video", "audio"), [(2, 3), (3, 4)])
def test_any_other_number_of_segments_is_an_error(video, audio):
    network = Synchformer(SMALL).eval()
    with pytest.raises(
        ConfigError, match=r"must be given 3 segments of (video|audio) at a time, got [24]; nearest is 3"
    ):
        network.logits(torch.zeros(1, video, 2, 16), torch.zeros(1, audio, 2, 16))
