"""The strength of adapters, as the tools that wrote them mean it; PEFT and diffusers are asked where they can be."""

import json
from pathlib import Path

import peft
import pytest
import torch
from diffusers import WanPipeline, WanTransformer3DModel
from safetensors.torch import load_file, save_file

from mova.errors import CheckpointError
from mova.weights.components import load_component
from mova.weights.lora.file import read_lora, write_lora

CHECKPOINT = Path(__file__).parents[2] / "numerics" / "records" / "pipeline_checkpoint"
Q = "blocks.0.self_attn.q"


def adapted(config, base=None):
    """Return a tower with PEFT's adapters of random numbers."""
    torch.manual_seed(0)
    model = peft.get_peft_model(base or load_component(CHECKPOINT / "video_dit"), config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.normal_(std=0.1)
    return model


def updates(model):
    """Return what each of PEFT's adapters adds to its weight."""
    return {
        path.removeprefix("base_model.model."): module.get_delta_weight("default").detach()
        for path, module in model.named_modules()
        if isinstance(module, peft.tuners.lora.Linear)
    }


def same(found, expected):
    assert set(found) == set(expected)
    for path, layer in found.items():
        torch.testing.assert_close(layer.update(), expected[path], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    "settings",
    [
        {"lora_alpha": 16},
        {"lora_alpha": 2, "use_rslora": True},
        {
            "lora_alpha": 8,
            "alpha_pattern": {"self_attn.q": 3, r"blocks\.1\..*": 40},
            "rank_pattern": {"self_attn.k": 8},
        },
        {"lora_alpha": 8, "alpha_pattern": {"^blocks.1.self_attn.q": 5, "q": 7, "attn.k": 100}, "use_rslora": True},
        {"lora_alpha": 8, "rank_pattern": {r"blocks\.[1-9]\.self_attn\.(q|k)": 2}, "alpha_pattern": {"blocks.0": 9}},
    ],
)
@pytest.mark.filterwarnings("ignore:The following alpha_pattern keys")
def test_what_peft_saves_acts_as_peft_lets_it_act(tmp_path, settings):
    config = peft.LoraConfig(r=4, target_modules=["self_attn.q", "self_attn.k", "cross_attn.v", "ffn.0"], **settings)
    adapted(config).save_pretrained(tmp_path / "adapter")
    # Read again: PEFT sorts the patterns as it writes them, and the first one counts.
    deltas = updates(peft.PeftModel.from_pretrained(load_component(CHECKPOINT / "video_dit"), tmp_path / "adapter"))
    lora = read_lora(tmp_path / "adapter")
    assert (lora.style, lora.name, lora.strays) == ("peft", "adapter", ())
    same(lora.layers[""], deltas)
    same(read_lora(tmp_path / "adapter" / "adapter_model.safetensors").layers[""], deltas)


def test_what_diffusers_saves_acts_as_diffusers_lets_it_act(tmp_path):
    base = WanTransformer3DModel(
        num_attention_heads=2, attention_head_dim=12, in_channels=4, out_channels=4, text_dim=8, freq_dim=8, ffn_dim=16,
        num_layers=2, cross_attn_norm=True,
    )  # fmt: skip
    config = peft.LoraConfig(
        r=4, lora_alpha=16, target_modules=["to_q", "to_out.0", "ffn.net.0.proj", "ffn.net.2", "proj_out", "time_proj"],
        alpha_pattern={"blocks.1.attn1.to_q": 3}, rank_pattern={"attn2.to_q": 2},
    )  # fmt: skip
    model = adapted(config, base)
    deltas = updates(model)
    metadata = {name: list(value) if isinstance(value, set) else value for name, value in config.to_dict().items()}
    WanPipeline.save_lora_weights(
        tmp_path,
        transformer_lora_layers=peft.get_peft_model_state_dict(model),
        transformer_lora_adapter_metadata=metadata,
    )
    # PEFT's own prefix is not what diffusers writes for its models.
    file = tmp_path / "pytorch_lora_weights.safetensors"
    tensors = {key.replace("base_model.model.", ""): value for key, value in load_file(file).items()}
    with_header = tmp_path / "style.safetensors"
    save_file(tensors, with_header, metadata={"lora_adapter_metadata": json.dumps(flattened(metadata))})
    names = {
        "blocks.1.attn1.to_q": "blocks.1.self_attn.q",
        "blocks.0.attn2.to_out.0": "blocks.0.cross_attn.o",
        "blocks.1.attn2.to_q": "blocks.1.cross_attn.q",
        "blocks.0.ffn.net.0.proj": "blocks.0.ffn.0",
        "blocks.1.ffn.net.2": "blocks.1.ffn.2",
        "proj_out": "head.head",
        "condition_embedder.time_proj": "time_projection.1",
    }
    for read in (file, with_header):
        layers = read_lora(read).layers[""]
        assert len(layers) == len(deltas)
        for theirs, ours in names.items():
            torch.testing.assert_close(layers[ours].update(), deltas[theirs], rtol=1e-6, atol=1e-7)
    assert read_lora(file).layers[""]["blocks.1.self_attn.q"].alpha == 3


def flattened(settings):
    return {f"transformer.{name}": value for name, value in settings.items()}


def store(path, prefix="transformer.blocks.0.attn1.to_q", metadata=None, rank=4, **more):
    tensors = {f"{prefix}.lora_A.weight": torch.ones(rank, 6), f"{prefix}.lora_B.weight": torch.ones(6, rank)}
    metadata = {key: value if isinstance(value, str) else json.dumps(value) for key, value in (metadata or {}).items()}
    save_file(tensors | {f"{prefix}.{name}": value for name, value in more.items()}, path, metadata=metadata)
    return path


@pytest.mark.parametrize(
    ("prefix", "metadata", "alpha"),
    [
        ("transformer.blocks.0.attn1.to_q", {"lora_adapter_metadata": {"transformer.lora_alpha": 16}}, 16),
        ("transformer.blocks.0.attn1.to_q", {"lora_adapter_metadata": {"lora_alpha": 2, "r": 4}}, 2),
        (f"video_dit.{Q}", {"lora_adapter_metadata": {"video_dit.lora_alpha": 2, "audio_dit.lora_alpha": 7}}, 2),
        (f"diffusion_model.{Q}", {"lora_adapter_metadata": {"transformer.lora_alpha": 0.5}}, 0.5),
        (Q, {"lora_config": {"r": 4, "lora_alpha": 32}}, 32),
        (Q, {"ss_network_alpha": "1.0", "ss_network_dim": "4"}, 1),
        ("lora_unet_blocks_0_self_attn_q", {"ss_network_alpha": "8"}, 8),
        (Q, {"ss_network_alpha": "None", "ss_network_dim": "Dynamic"}, 4),
        (Q, {}, 4),
        (Q, {"lora_adapter_metadata": {"transformer.r": 4}}, 4),
    ],
)
def test_alpha_in_the_header_counts_and_is_the_rank_where_nothing_says_it(tmp_path, prefix, metadata, alpha):
    (layers,) = read_lora(store(tmp_path / "x.safetensors", prefix, metadata)).layers.values()
    (layer,) = layers.values()
    assert layer.alpha == alpha
    assert float(layer.update()[0, 0]) == alpha


def test_alpha_tensors_go_before_what_kohya_writes_in_the_header(tmp_path):
    file = store(tmp_path / "x.safetensors", Q, {"ss_network_alpha": "1", "ss_network_dim": "9"}, alpha=torch.tensor(2))
    assert read_lora(file).layers[""][Q].alpha == 2


@pytest.mark.parametrize("style", ["mova", "comfyui", "diffsynth"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_round_trip_through_any_style_keeps_the_update(tmp_path, style, dtype):
    torch.manual_seed(0)
    down, up = torch.randn(3, 6).to(dtype), torch.randn(6, 3).to(dtype)
    key = "transformer.blocks.0.attn1.to_q"
    tensors = {f"{key}.lora_A.weight": down, f"{key}.lora_B.weight": up}
    settings = {"transformer.lora_alpha": 7, "transformer.use_rslora": True}
    save_file(tensors, tmp_path / "x.safetensors", metadata={"lora_adapter_metadata": json.dumps(settings)})
    lora = read_lora(tmp_path / "x.safetensors").assigned_to(["video_dit"])
    before = lora.layers["video_dit"][Q].update()
    torch.testing.assert_close(before, (7 / 3**0.5) * (up.float() @ down.float()))
    (file,) = write_lora(lora, tmp_path / "y.safetensors", style)
    ((_, layers),) = read_lora(file).layers.items()
    if style == "diffsynth":
        torch.testing.assert_close(layers[Q].update(), before, rtol=1e-6, atol=1e-6)
    else:
        assert torch.equal(layers[Q].update(), before)


@pytest.mark.parametrize(
    ("metadata", "text"),
    [
        ({"lora_adapter_metadata": "[1"}, r"lora_adapter_metadata in the header of .*x.safetensors must be JSON"),
        ({"lora_adapter_metadata": [1]}, "must be a JSON object"),
        (
            {"lora_adapter_metadata": {"transformer.lora_alpha": "16"}},
            "transformer: lora_alpha must be a finite number",
        ),
        ({"lora_adapter_metadata": {"transformer.lora_alpha": 1e999}}, "lora_alpha must be a finite number"),
        ({"lora_adapter_metadata": {"transformer.lora_alpha": None}}, "lora_alpha must be a number, got null"),
        ({"lora_adapter_metadata": {"transformer.r": None}}, "r must be a number, got null"),
        ({"lora_adapter_metadata": {"transformer.r": 8}}, "must be that of its matrices, 4, got 8"),
        ({"lora_adapter_metadata": {"transformer.r": 2.5}}, "r must be a whole number"),
        ({"lora_adapter_metadata": {"transformer.use_rslora": 1}}, "use_rslora must be true or false"),
        ({"lora_adapter_metadata": {"transformer.alpha_pattern": [1]}}, "alpha_pattern must be a JSON object"),
        ({"lora_adapter_metadata": {"transformer.alpha_pattern": {"q": None}}}, "q must be a finite number"),
        ({"lora_adapter_metadata": {"transformer.alpha_pattern": {"(": 1}}}, "must hold regular expressions"),
        ({"lora_adapter_metadata": {"transformer.alpha_pattern": {"(a+)+$": 1}}}, "must hold patterns that are quick"),
        ({"lora_adapter_metadata": {"transformer.alpha_pattern": {".*.*.*.*.*x": 1}}}, "patterns that are quick"),
        ({"lora_adapter_metadata": {"transformer.rank_pattern": {"q": 0}}}, "q must be from 1 to any"),
        ({"lora_adapter_metadata": {"transformer.bias": "all"}}, "bias must be 'none', got 'all'"),
        ({"lora_adapter_metadata": {"transformer.fan_in_fan_out": True}}, "fan_in_fan_out must not be set"),
        ({"lora_adapter_metadata": {"transformer.peft_type": "LOHA"}}, "peft_type must be LORA, got 'LOHA'"),
        ({"lora_adapter_metadata": {"transformer.init_lora_weights": "pissa"}}, "must leave the base as it is"),
        ({"lora_adapter_metadata": {"transformer.use_dora": True}}, "must hold a magnitude of blocks.0.self_attn.q"),
        ({"ss_network_alpha": "strong"}, "ss_network_alpha in the header must be a finite number, got 'strong'"),
        ({"ss_network_alpha": "nan"}, "ss_network_alpha in the header must be a finite number"),
        (
            {"ss_network_alpha": "4", "ss_network_dim": "16"},
            "its rank is 4, and ss_network_alpha 4 is for ss_network_dim 16",
        ),
        ({"lora_config": "{"}, "lora_config in the header of"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused_with_file_and_key(tmp_path, metadata, text):
    file = store(tmp_path / "x.safetensors", metadata=metadata)
    with pytest.raises(CheckpointError, match=text):
        read_lora(file)


@pytest.mark.parametrize(
    ("alpha", "text"),
    [
        (torch.tensor([2.0, 3.0]), r"one number as alpha of blocks.0.self_attn.q, got shape \[2\]"),
        (torch.zeros(0), r"got shape \[0\]"),
        (torch.tensor(True), r"got shape \[\], torch\.bool"),
        (torch.tensor(torch.nan), "must hold a finite alpha"),
        (torch.tensor(torch.inf), "must hold a finite alpha"),
    ],
)
def test_an_alpha_tensor_must_be_one_finite_number(tmp_path, alpha, text):
    with pytest.raises(CheckpointError, match=text):
        read_lora(store(tmp_path / "x.safetensors", Q, alpha=alpha))


def test_settings_of_one_component_are_not_those_of_another(tmp_path):
    tensors = {}
    for name in ("video_dit", "audio_dit"):
        tensors |= {f"{name}.{Q}.lora_A.weight": torch.ones(4, 6), f"{name}.{Q}.lora_B.weight": torch.ones(6, 4)}
    settings = {"video_dit.lora_alpha": 16, "text_encoder.lora_alpha": 3}
    save_file(tensors, tmp_path / "x.safetensors", metadata={"lora_adapter_metadata": json.dumps(settings)})
    layers = read_lora(tmp_path / "x.safetensors").layers
    assert {name: found[Q].alpha for name, found in layers.items()} == {"video_dit": 16, "audio_dit": 4}
    settings = {"transformer.lora_alpha": 16, "transformer_2.lora_alpha": 8}
    save_file(tensors, tmp_path / "x.safetensors", metadata={"lora_adapter_metadata": json.dumps(settings)})
    with pytest.raises(
        CheckpointError, match="must name the components as the keys do, got transformer, transformer_2"
    ):
        read_lora(tmp_path / "x.safetensors")


def test_alphas_that_contradict_each_other_are_refused(tmp_path):
    metadata = {"lora_adapter_metadata": {"transformer.lora_alpha": 16}}
    file = store(tmp_path / "x.safetensors", metadata=metadata, alpha=torch.tensor(8.0))
    with pytest.raises(
        CheckpointError, match=r"one alpha to .*, got 8 in blocks.*alpha and 16 in lora_adapter_metadata"
    ):
        read_lora(file)
    assert read_lora(store(file, metadata=metadata, alpha=torch.tensor(16.0))).num_layers == 1
