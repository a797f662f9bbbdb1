"""Adapters as tensors, and whether they fit a model."""

import pytest
import torch

from mova.errors import CheckpointError, ConfigError
from mova.models.presets import tiny_audio_tower, tiny_bridge, tiny_video_tower
from mova.weights.components import key_shapes
from mova.weights.files import key_shape_md5
from mova.weights.lora.adapters import (
    TARGETS,
    UNNAMED,
    Lora,
    LoraLayer,
    LoraOrigin,
    fit_lora,
    select_layers,
    summarise,
)

PATH = "blocks.0.self_attn.q"


def layer(out=192, into=192, rank=2, alpha=4.0):
    return LoraLayer(torch.randn(rank, into), torch.randn(out, rank), alpha)


@pytest.fixture(scope="module")
def modules():
    from mova.models.bridge import CrossModalBridge
    from mova.models.tower import AudioTower, VideoTower

    with torch.device("meta"):
        return {
            "video_dit": VideoTower(**tiny_video_tower()),
            "video_dit_2": VideoTower(**tiny_video_tower()),
            "audio_dit": AudioTower(**tiny_audio_tower()),
            "dual_tower_bridge": CrossModalBridge(**tiny_bridge()),
        }


@pytest.fixture(scope="module")
def shapes(modules):
    return {name: key_shapes(module) for name, module in modules.items()}


def test_an_update_counts_alpha_over_rank():
    adapter = LoraLayer(torch.tensor([[1.0, 2.0], [0.0, 1.0]]), torch.tensor([[3.0, 0.0]]), alpha=1.0)
    assert adapter.rank == 2
    assert torch.equal(adapter.update(), torch.tensor([[1.5, 3.0]]))


def test_default_targets_are_every_linear_layer_of_blocks_and_bridge_attentions(modules):
    for name, module in modules.items():
        linears = [path for path, part in module.named_modules() if isinstance(part, torch.nn.Linear)]
        inside = [path for path in linears if path.startswith("blocks.") or ".inner." in path]
        assert select_layers(linears, TARGETS[name]) == inside


def test_a_target_is_a_whole_ending_of_a_path():
    paths = ["blocks.0.self_attn.q", "blocks.0.cross_attn.q", "blocks.0.freq", "blocks.10.self_attn.q"]
    assert select_layers(paths, ["self_attn.q"]) == [paths[0], paths[3]]
    assert select_layers(paths, ["q"]) == [paths[0], paths[1], paths[3]]
    assert select_layers(paths, ["blocks.0.self_attn.q"]) == [paths[0]]
    with pytest.raises(ConfigError, match="got 'to_q', which names none"):
        select_layers(paths, ["to_q"])


def test_a_summary_says_what_the_tensors_say():
    layers = {"blocks.0.self_attn.q": layer(rank=2), "blocks.1.self_attn.q": layer(rank=3, alpha=1.0)}
    summary = summarise(Lora({"video_dit": layers}), "video_dit")
    assert (summary.num_layers, summary.ranks, summary.alphas) == (2, (2, 3), (1.0, 4.0))
    assert summary.targets == ("self_attn.q",)
    assert summary.num_parameters == 5 * 2 * 192


def test_unmatched_and_misshaped_keys_are_all_listed_with_counts(shapes):
    layers = {PATH: layer(out=7), "blocks.99.self_attn.q": layer(), "blocks.0.ffn.0": layer(out=768)}
    lora = Lora({"video_dit": layers}, strays=("blocks.0.norm.diff",), name="style.safetensors")
    with pytest.raises(CheckpointError) as caught:
        fit_lora(lora, shapes)
    text = str(caught.value)
    assert text.startswith("style.safetensors must fit the model, got 2 unmatched, 1 mis-shaped of 4")
    assert "blocks.0.norm.diff: no part of an adapter" in text
    assert "video_dit.blocks.99.self_attn.q: the model has no such layer" in text
    assert f"video_dit.{PATH}: for a weight of [7, 192], the model's is [192, 192]" in text
    assert "ffn.0" not in text


def test_a_long_list_is_cut_with_its_rest_counted(shapes):
    lora = Lora({"video_dit": {f"blocks.{number}.x": layer() for number in range(60)}})
    with pytest.raises(CheckpointError, match=r"60 unmatched(?s:.*)and 10 more"):
        fit_lora(lora, shapes)


def test_a_component_that_the_model_lacks_is_unmatched(shapes):
    lora = Lora({"video_dit_2": {PATH: layer()}})
    with pytest.raises(CheckpointError, match="the model has no video_dit_2"):
        fit_lora(lora, {name: value for name, value in shapes.items() if name != "video_dit_2"})


def test_another_base_is_refused_by_its_fingerprint(shapes):
    layers = {"video_dit": {PATH: layer()}}
    right = key_shape_md5(shapes["video_dit"])
    assert fit_lora(Lora(layers, LoraOrigin("tiny", {"video_dit": right})), shapes).num_layers == 1
    with pytest.raises(CheckpointError, match="was made for MOVA-360p, whose video_dit has names and shapes 0123"):
        fit_lora(Lora(layers, LoraOrigin("MOVA-360p", {"video_dit": "0123"})), shapes)


def test_a_file_that_names_no_component_goes_where_it_alone_fits(shapes):
    lora = Lora({UNNAMED: {PATH: layer(144, 144)}})
    assert set(fit_lora(lora, shapes).layers) == {"audio_dit"}


def test_a_file_that_fits_both_experts_must_be_told_which(shapes):
    lora = Lora({UNNAMED: {PATH: layer()}}, name="wan.safetensors")
    with pytest.raises(CheckpointError, match=r"fit video_dit and video_dit_2; say which.*--component video_dit"):
        fit_lora(lora, shapes)
    assert set(fit_lora(lora, shapes, "video_dit_2").layers) == {"video_dit_2"}
    assert set(fit_lora(lora, shapes, ["video_dit", "video_dit_2"]).layers) == {"video_dit", "video_dit_2"}


def test_a_file_that_fits_nowhere_is_compared_with_its_best_fit(shapes):
    lora = Lora({UNNAMED: {PATH: layer(144, 144), "blocks.0.k_img": layer()}})
    with pytest.raises(CheckpointError, match=r"1 unmatched, 0 mis-shaped of 2(?s:.*)audio_dit.blocks.0.k_img"):
        fit_lora(lora, shapes)


def test_components_are_not_given_twice_and_must_be_known(shapes):
    with pytest.raises(ConfigError, match=r"names its components already \(video_dit\)"):
        fit_lora(Lora({"video_dit": {PATH: layer()}}), shapes, "video_dit")
    with pytest.raises(ConfigError, match=r"component must be one of video_dit, .*; got video"):
        Lora({UNNAMED: {PATH: layer()}}).assigned_to(["video"])


def test_a_lora_without_adapters_is_refused(shapes):
    with pytest.raises(CheckpointError, match="must hold adapters, got none"):
        fit_lora(Lora({}), shapes)


def test_a_lora_changes_its_dtype_and_nothing_else():
    lora = Lora({"audio_dit": {PATH: layer()}}, recommended={"num_inference_steps": 4}, name="few")
    half = lora.to(torch.bfloat16)
    found = half.layers["audio_dit"][PATH]
    assert (found.up.dtype, found.down.dtype, found.alpha) == (torch.bfloat16, torch.bfloat16, 4.0)
    assert (half.recommended, half.name) == (lora.recommended, "few")
    torch.testing.assert_close(found.update(), lora.layers["audio_dit"][PATH].update(), rtol=0.05, atol=0.1)
