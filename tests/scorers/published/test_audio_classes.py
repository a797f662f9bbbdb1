"""Cnn14 on clips: vectors for sets of clips, reasons where there is nothing to hear, and files of other networks."""

import numpy as np
import pytest
import torch

from mova.scorers.networks.cnn14 import Cnn14
from mova.scorers.published.audio_classes import CNN14, AudioClassScorer
from mova.scorers.sets.distance import frechet_distance
from mova.scorers.sets.inception import inception_score
from published_networks import WIDTHS, moving_clip, sounding, write_weights
from shared_scoring import clip_of, reason, score, still, tone

NAME = "cnn14_confidence"
SILENCE = 500


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("weights")
    write_weights(Cnn14(WIDTHS, holds_front_end=True), made / CNN14.name, wrapped="model")
    return made


@pytest.fixture(scope="module")
def scorer(folder):
    return AudioClassScorer(folder, WIDTHS)


def test_each_clip_has_a_vector_of_each_space(scorer, tmp_path):
    found = score(scorer, clip_of(tmp_path / "a.mp4", sound=sounding(1.5)))
    assert {space.name: (space.width,) for space in scorer.spaces} == {
        name: vector.shape for name, vector in found.embeddings.items()
    }
    assert all(vector.dtype == np.float32 and np.isfinite(vector).all() for vector in found.embeddings.values())
    surest = np.delete(found.embeddings["cnn14_logits"], SILENCE).max()
    assert found.scores[NAME].value == pytest.approx(1 / (1 + np.exp(-surest)), rel=1e-6)


def test_to_be_sure_of_silence_is_not_to_be_sure_of_a_sound(folder, tmp_path):
    contents = torch.load(folder / CNN14.name, weights_only=True)
    contents["model"]["fc_audioset.bias"][SILENCE] = 50.0
    torch.save(contents, tmp_path / CNN14.name)
    clip = clip_of(tmp_path / "a.mp4", sound=sounding(1.5))
    plain, sure = (score(AudioClassScorer(place, WIDTHS), clip) for place in (folder, tmp_path))
    assert sure.embeddings["cnn14_logits"].argmax() == SILENCE
    assert sure.scores[NAME].value == plain.scores[NAME].value < 1


def test_sets_of_clips_are_measured_by_their_vectors(scorer, tmp_path):
    clips = [clip_of(tmp_path / f"{i}.mp4", sound=tone(220 * 2**i, 1.0)) for i in range(3)]
    found = scorer.score(clips)
    assert inception_score(np.stack([one.embeddings["cnn14_logits"] for one in found])).scored == 3
    vectors = np.stack([one.embeddings["cnn14"] for one in found])
    assert frechet_distance(vectors, vectors).value == pytest.approx(0.0, abs=1e-6)


def test_a_silent_clip_and_one_without_audio_have_reasons(scorer, tmp_path):
    silent = clip_of(tmp_path / "silent.mp4", sound=np.zeros((1, 48_000), np.float32))
    assert reason(scorer, silent, NAME) == "not applicable: the sound is silent"
    assert reason(scorer, clip_of(tmp_path / "mute.mp4", still(1.0)), NAME) == "not applicable: the clip has no audio"
    assert score(scorer, silent).embeddings == {}


def test_a_clip_of_one_frame_is_heard(scorer, tmp_path):
    found = score(scorer, clip_of(tmp_path / "one.mp4", still(1 / 24), sounding(0.1)))
    assert found.scores[NAME].value is not None


def test_a_file_without_the_constants_of_the_front_end_is_read_too(scorer, folder, tmp_path):
    write_weights(Cnn14(WIDTHS), tmp_path / CNN14.name, prefix="module.")
    clip = clip_of(tmp_path / "a.mp4", sound=sounding(1.0))
    one, other = (score(AudioClassScorer(place, WIDTHS), clip) for place in (folder, tmp_path))
    assert np.array_equal(one.embeddings["cnn14_logits"], other.embeddings["cnn14_logits"])


def test_files_of_other_networks_are_said_to_be_so(tmp_path):
    clip = moving_clip(tmp_path / "a.mp4", 0.5)
    other = Cnn14(WIDTHS, holds_front_end=True)
    # The variant for 16 kHz differs in the sizes of its windows alone.
    for part in ("conv_real", "conv_imag"):
        setattr(other.spectrogram_extractor.stft, part, torch.nn.Conv1d(1, 257, 512, bias=False))
    other.logmel_extractor.melW = torch.nn.Parameter(torch.zeros(257, 64))
    write_weights(other, tmp_path / CNN14.name, wrapped="model")
    text = reason(AudioClassScorer(tmp_path, WIDTHS), clip, NAME)
    assert text.startswith("failed: ConfigError: ")
    assert "3 of another shape (spectrogram_extractor.stft.conv_real.weight [257, 1, 512] for [513, 1, 1024]" in text
    write_weights(torch.nn.Linear(3, 3), tmp_path / CNN14.name)
    assert "missing (bn0.weight" in reason(AudioClassScorer(tmp_path, WIDTHS), clip, NAME)
    (tmp_path / CNN14.name).write_bytes(b"no weights")
    assert "must be a whole file of torch.save" in reason(AudioClassScorer(tmp_path, WIDTHS), clip, NAME)
