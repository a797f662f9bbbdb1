"""CLAP through transformers: names of LAION's checkpoint, and what the original computed."""

import json

import pytest
import torch

import fill_weights
from mova.scorers.front_ends.clap_audio import clap_mels, normalised
from mova.scorers.networks.clap import ClapNetwork, clap_config, laion_name
from scorer_records import RECORDS, open_record

SMALL = {
    "audio": {
        "depths": [1, 1, 1, 1],
        "patch_embeds_hidden_size": 16,
        "num_attention_heads": [1, 1, 2, 2],
        "hidden_size": 128,
    },
    "text": {
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "vocab_size": 60,
    },
    "joint": 8,
}


def recorded_mapping():
    read = json.loads((RECORDS / "clap" / "transformers_mapping.json").read_text())
    return {name: (own,) if isinstance(own, str) else tuple(own) for name, own in read["mapping"].items()}


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    return ClapNetwork(clap_config(**SMALL)).eval()


def test_names_follow_from_rules_that_give_the_recorded_mapping():
    for name, owns in recorded_mapping().items():
        found = [laion_name(own) for own in owns]
        assert [one.name for one in found] == [name] * len(owns)
        assert [one.part for one in found] == list(range(len(owns)))


def test_a_state_dict_has_published_names_and_comes_back_the_same(small):
    state = {name: tensor.clone() for name, tensor in small.state_dict().items()}
    known = open_record("clap").facts["state_dict"]
    assert set(state) <= set(known)
    other = ClapNetwork(clap_config(**SMALL))
    other.load_state_dict(state)
    assert all(torch.equal(tensor, state[name]) for name, tensor in other.state_dict().items())
    assert state["audio_branch.layers.0.blocks.0.attn.qkv.weight"].shape == (48, 16)


def test_tensors_without_a_use_are_left_out_and_foreign_ones_refused(small):
    state = dict(small.state_dict())
    unused = {"audio_branch.head.weight": torch.zeros(2), "audio_branch.layers.2.blocks.5.attn_mask": torch.zeros(1)}
    small.load_state_dict(state | unused)
    with pytest.raises(RuntimeError, match="syncnet"):
        small.load_state_dict(state | {"syncnet.weight": torch.zeros(2)})


def test_the_eps_of_text_is_that_of_the_original():
    assert clap_config().text_config.layer_norm_eps == 1e-5
    assert clap_config(**SMALL).text_config.layer_norm_eps == 1e-5


def test_no_sound_is_fused_unless_it_was_longer(small):
    mels = torch.randn(2, 4, 1001, 64, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        plain = small.embed_audio(mels)
        assert torch.equal(plain, small.embed_audio(mels))
        other = small.embed_audio(mels, is_longer=torch.tensor([False, True]))
    assert torch.allclose(plain[0], other[0], atol=1e-6)
    assert not torch.allclose(plain[1], other[1], atol=1e-4)
    assert torch.allclose(plain.norm(dim=1), torch.ones(2))


@pytest.mark.slow
def test_embeddings_and_scores_are_those_that_were_recorded():
    record = open_record("clap")
    network = ClapNetwork().eval()
    network.load_state_dict(network.state_dict() | record.state_dict())
    tolerance = record.facts["tolerance"]["suggested_atol"]
    sounds = [
        normalised(fill_weights.waveform(f"clap/sound{i}", length, 48_000) / 32768.0)
        for i, length in enumerate((386_000, 480_000))
    ]
    with torch.inference_mode():
        audio = network.embed_audio(clap_mels(sounds))
        text = network.embed_text(record.tensors["input.ids"], record.tensors["input.attention_mask"])
    for name, found in (
        ("audio_embedding", audio),
        ("text_embedding", text),
        ("score", (audio * text).sum(dim=1)),
    ):
        wanted = record.tensors[f"output.{name}"]
        assert torch.allclose(found, wanted, rtol=1e-5, atol=tolerance[f"output.{name}"]), name
