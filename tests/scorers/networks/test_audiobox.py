"""Audiobox Aesthetics through WavLM of transformers: published names, and what the original computed."""

import json

import numpy as np
import pytest
import torch
from transformers import WavLMConfig

import fill_weights
from mova.scorers.front_ends.windows import windows_of
from mova.scorers.networks.audiobox import AXES, AudioboxNetwork, audiobox_name, valid_frames
from scorer_records import RECORDS, open_record

SMALL = WavLMConfig(
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=32,
    conv_dim=(8,) * 7,
    num_conv_pos_embedding_groups=2,
)


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    return AudioboxNetwork(wavlm=SMALL).eval()


def test_names_follow_from_rules_that_give_the_recorded_mapping():
    recorded = json.loads((RECORDS / "audiobox_aesthetics" / "transformers_mapping.json").read_text())["mapping"]
    assert {own: audiobox_name(f"wavlm_model.{own}").name for own in recorded.values()} == {
        own: name for name, own in recorded.items()
    }


def test_a_state_dict_has_all_published_names_and_no_other():
    facts = open_record("audiobox_aesthetics").facts["state_dict"]
    with torch.device("meta"):
        state = AudioboxNetwork().state_dict()
    assert {name: list(tensor.shape) for name, tensor in state.items()} == {
        name: shape for name, (shape, _) in facts.items()
    }


@pytest.mark.parametrize(("length", "frames"), [(128_667, 403), (1, 1), (320, 1), (321, 2), (160_000, 499)])
def test_frames_are_counted_as_the_original_does(length, frames):
    assert valid_frames(torch.tensor([length]), 160_000, 499).item() == frames


def test_there_is_a_layer_more_than_wavlm_has(small):
    sound = torch.randn(1, 16_000, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        layers, valid = small.layers(sound, torch.tensor([8_000]))
    assert valid.item() == 25
    assert [layer.shape for layer in layers] == [(1, 49, 32)] * 3


def test_an_opinion_of_a_window_does_not_depend_on_its_batch(small):
    sounds = torch.randn(3, 8_000, generator=torch.Generator().manual_seed(2))
    lengths = torch.tensor([8_000, 1, 4_001])
    with torch.inference_mode():
        together = small(sounds, lengths)
        alone = torch.cat([small(sounds[i : i + 1], lengths[i : i + 1]) for i in range(3)])
    assert together.shape == (3, len(AXES))
    assert torch.allclose(together, alone, atol=1e-6)


def test_means_before_weights_equal_weights_before_means(small):
    sound = torch.randn(2, 8_000, generator=torch.Generator().manual_seed(3))
    lengths = torch.tensor([8_000, 3_000])
    with torch.inference_mode():
        layers, valid = small.layers(sound, lengths)
        weighted = sum(
            weight * layer for weight, layer in zip(small.layer_weights["PC"].softmax(0), layers, strict=True)
        )
        means = torch.stack([row[:count].mean(0) for row, count in zip(weighted, valid, strict=True)])
        expected = small.proj_layer["PC"](torch.nn.functional.normalize(means, dim=-1))[:, 0]
        assert torch.allclose(small(sound, lengths)[:, AXES.index("PC")], expected, atol=1e-6)


def test_what_the_first_layer_is_given_is_what_was_recorded():
    record = open_record("audiobox_aesthetics")
    network = AudioboxNetwork(wavlm=WavLMConfig(num_hidden_layers=1)).eval()
    gains = record.facts["weight_rule"]["gains"]
    # The convolutions and what follows them; the layers themselves are a slow test.
    given = [name for name in network.state_dict() if name.startswith("wavlm_model.") and ".layers." not in name]
    drawn = {
        name: torch.from_numpy(
            fill_weights.value(name, record.facts["state_dict"][name][0], fill_weights.gain_for(name, gains))
        )
        for name in given
    }
    network.load_state_dict(network.state_dict() | drawn)
    sound = fill_weights.voice("audiobox/sound0", 128_667, 16_000).astype("float32") / 32768.0
    windows, lengths = windows_of(sound, 160_000)
    with torch.inference_mode():
        layers, _ = network.layers(torch.from_numpy(windows), torch.from_numpy(lengths))
    atol = record.facts["tolerance"]["suggested_atol"]["intermediate.first_layer"]
    assert torch.allclose(layers[0][0, :20], record.tensors["intermediate.first_layer"], rtol=1e-5, atol=atol)


@pytest.mark.slow
def test_layers_and_opinions_are_those_that_were_recorded():
    record = open_record("audiobox_aesthetics")
    atol = record.facts["tolerance"]["suggested_atol"]
    network = AudioboxNetwork().eval()
    network.load_state_dict(record.state_dict())
    sounds = [
        fill_weights.voice(f"audiobox/sound{index}", length, 16_000).astype("float32") / 32768.0
        for index, length in enumerate((128_667, 200_000))
    ]
    cut = [windows_of(sound, 160_000) for sound in sounds]
    windows = torch.from_numpy(np.concatenate([windows for windows, _ in cut]))
    lengths = torch.from_numpy(np.concatenate([lengths for _, lengths in cut]))
    with torch.inference_mode():
        layers, valid = network.layers(windows[:1], lengths[:1])
        opinions = network(windows, lengths)
    assert valid.item() == 403
    found = {
        "intermediate.first_layer": layers[0][0, :20],
        "intermediate.last_layer": layers[-1][0, :20],
        **{f"output.{axis}": opinions[:, index] for index, axis in enumerate(AXES)},
    }
    for name, value in found.items():
        assert torch.allclose(value, record.tensors[name], rtol=1e-5, atol=atol[name]), name
    targets = record.facts["config"]["target_transform"]
    means, spreads = ([targets[axis][part] for axis in AXES] for part in ("mean", "std"))
    full = opinions.double() * torch.tensor(spreads) + torch.tensor(means)
    scores = torch.stack(
        [full[0], (full[1:] * lengths[1:, None]).sum(0) / lengths[1:].sum()],
    )
    assert torch.allclose(scores, record.tensors["output.scores"], rtol=1e-5, atol=atol["output.scores"])
