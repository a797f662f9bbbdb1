"""ImageBind's towers compute what the original does, and read a file that holds four modalities more."""

import json

import numpy as np
import pytest
import torch

import fill_weights
from mova.errors import ConfigError
from mova.scorers.front_ends.fbank import imagebind_mels
from mova.scorers.front_ends.image_crops import imagebind_crops, neighbour_pairs
from mova.scorers.networks.imagebind.model import OTHER_MODALITIES, ImageBind, ImageBindSizes
from mova.scorers.published.files import load_published
from scorer_records import RECORDS, names_of, open_record

SMALL = ImageBindSizes(
    out_dim=12,
    vision_dim=16,
    vision_depth=2,
    vision_heads=2,
    image=28,
    audio_dim=24,
    audio_depth=2,
    audio_heads=4,
    mel_bands=36,
    mel_steps=46,
)


@pytest.fixture(scope="module")
def record():
    return open_record("imagebind")


def channels():
    drawn = [fill_weights.waveform(f"imagebind/sound{i}", 128667, 16000) for i in (0, 1)]
    return np.stack(drawn).astype(np.float32) / 32768


def crops():
    return imagebind_crops(fill_weights.image("imagebind/video", 3, 240, 320))


def watched(network, modality, x):
    """Return embeddings, and the first four tokens before and behind the trunk."""
    seen = []
    trunk = network.modality_trunks[modality]
    with trunk.register_forward_hook(lambda _, given, made: seen.extend((given[0][0, :4], made[0, :4]))):
        embed = network.video_embeddings if modality == "vision" else network.audio_embeddings
        with torch.inference_mode():
            return embed(x), *seen


def half(record, modality):
    """Return the network with the drawn weights of one modality; the other stays without any."""
    parts = ("preprocessors", "trunks", "heads", "postprocessors")
    return record.network(ImageBind, *(f"modality_{part}.{modality}." for part in parts))


def test_names_and_shapes_are_the_published_ones_without_the_other_modalities(record):
    assert names_of(ImageBind) == record.facts["state_dict"]
    published = json.loads((RECORDS / "imagebind" / "manifest.json").read_text())
    own = {name: facts for name, facts in published.items() if not name.startswith(OTHER_MODALITIES)}
    assert own == record.facts["state_dict"]


def test_inputs_are_the_recorded_ones(record):
    record.check(imagebind_mels(channels()), "frontend.mel")
    record.check(crops()[..., ::8, ::8], "frontend.picture")


def test_sounds_become_the_recorded_embedding(record):
    network = half(record, "audio")
    found, tokens, trunk = watched(network, "audio", record.tensors["frontend.mel"])
    record.check(tokens, "intermediate.audio_tokens_first_rows")
    record.check(trunk, "intermediate.audio_trunk_first_rows")
    record.check(found.mean(0, keepdim=True), "output.audio_embedding")
    with torch.inference_mode():
        own = network.audio_embeddings(imagebind_mels(channels())).mean(0, keepdim=True)
    near = record.near("output.audio_embedding_from_own_mel")
    torch.testing.assert_close(own, record.tensors["output.audio_embedding"], **near)


@pytest.mark.slow
def test_frames_become_the_recorded_embedding(record):
    found, tokens, trunk = watched(half(record, "vision"), "vision", neighbour_pairs(crops()))
    record.check(tokens, "intermediate.video_tokens_first_rows")
    record.check(trunk, "intermediate.video_trunk_first_rows")
    video = found.mean(0, keepdim=True)
    record.check(video, "output.video_embedding")
    score = torch.nn.functional.cosine_similarity(video, record.tensors["output.audio_embedding"])
    record.check(score, "output.score")


def test_a_network_of_other_sizes_gives_unit_vectors_for_frames_and_scaled_ones_for_sounds():
    network = ImageBind(SMALL).eval()
    fill_weights.fill(network.state_dict())
    with torch.inference_mode():
        video, audio = network(torch.randn(3, 2, 3, 28, 28), torch.randn(2, 36, 46))
        network.modality_postprocessors["audio"][1].log_logit_scale.fill_(9.0)
        longest = network.audio_embeddings(torch.randn(2, 36, 46))
    assert (video.shape, audio.shape) == ((3, 12), (2, 12))
    assert video.norm(dim=1).numpy() == pytest.approx(1.0, abs=1e-5)
    assert longest.norm(dim=1).numpy() == pytest.approx(100.0, rel=1e-5)


def test_a_file_of_all_modalities_is_read_and_one_of_another_model_is_refused(tmp_path):
    whole = ImageBind(SMALL).state_dict()
    others = {f"{prefix}anything.weight": torch.zeros(2) for prefix in OTHER_MODALITIES}
    torch.save({**whole, **others}, tmp_path / "all.pth")
    with torch.device("meta"):
        network = ImageBind(SMALL)
    load_published(network, tmp_path / "all.pth", ignored=OTHER_MODALITIES)
    assert all(torch.equal(value, whole[name]) for name, value in network.state_dict().items())
    torch.save({f"visual.{name}": value for name, value in whole.items()}, tmp_path / "other.pth")
    with pytest.raises(ConfigError, match="must be the file for ImageBind"):
        load_published(network, tmp_path / "other.pth", ignored=OTHER_MODALITIES)
