"""The audio extractor computes what the original does."""

import numpy as np
import torch

import fill_weights
from mova.scorers.front_ends.published_mels import synchformer_mels
from mova.scorers.networks.synchformer.audio import AudioExtractor
from mova.scorers.networks.synchformer.model import Synchformer
from mova.scorers.networks.synchformer.sizes import SynchformerSizes
from scorer_records import open_record


def test_sounds_become_the_recorded_features():
    record = open_record("synchformer")
    sound = fill_weights.waveform("synchformer/sound", 15360, 16000).astype(np.float32) / 32768
    mels = synchformer_mels(sound)
    record.check(mels, "frontend.logmel")
    with torch.inference_mode():
        record.check(
            record.network(Synchformer, "afeat_extractor.").audio_features(mels[None]), "output.sound_features"
        )


def test_another_length_and_other_bands_give_a_feature_for_each_step_of_patches():
    sizes = SynchformerSizes(dim=16, depth=1, heads=2, mel_bands=36, mel_steps=46)
    extractor = AudioExtractor(sizes).eval()
    fill_weights.fill(extractor.state_dict())
    mels = torch.randn(3, 46, 36)
    with torch.inference_mode():
        found = extractor(mels)
        torch.testing.assert_close(extractor(mels[1:]), found[1:], atol=1e-5, rtol=1e-5)
    assert found.shape == (3, 4, 16)
