"""Keys of all tools, taken apart."""

import pytest

from mova.weights.lora.keys import is_lora, other_kind, parse_key, state_key

Q = "blocks.0.self_attn.q"


@pytest.mark.parametrize(
    ("key", "component", "path", "part", "style"),
    [
        (f"model.diffusion_model.{Q}.lora_A.weight", "", Q, "down", "comfyui"),
        (f"diffusion_model.{Q}.lora_B.weight", "", Q, "up", "comfyui"),
        (f"diffusion_model.{Q}.alpha", "", Q, "alpha", "comfyui"),
        (f"base_model.model.{Q}.lora_A.weight", "", Q, "down", "peft"),
        (f"base_model.model.video_dit.{Q}.lora_A.weight", "video_dit", Q, "down", "peft"),
        (f"base_model.model.{Q}.lora_magnitude_vector", "", Q, "magnitude_rows", "peft"),
        (f"base_model.model.{Q}.lora_magnitude_vector.default.weight", "", Q, "magnitude_rows", "peft"),
        (f"transformer.{Q}.lora_A.weight", "video_dit", Q, "down", "diffusers"),
        ("transformer_2.blocks.0.attn2.to_k.lora_B.weight", "video_dit_2", "blocks.0.cross_attn.k", "up", "diffusers"),
        ("transformer.blocks.0.norm2.diff", "video_dit", "blocks.0.norm3", "weight", "diffusers"),
        ("transformer.scale_shift_table.diff", "video_dit", "head.modulation", "weight", "diffusers"),
        ("condition_embedder.text_embedder.linear_2.lora_A.weight", "", "text_embedding.2", "down", "plain"),
        ("transformer.proj_out.lora_B.bias", "video_dit", "head.head", "up_bias", "diffusers"),
        (f"video_dit.{Q}.lora_A", "video_dit", Q, "down", "low_resource"),
        (f"module.video_dit_2._fsdp_wrapped_module.{Q}.lora_B", "video_dit_2", Q, "up", "low_resource"),
        (f"video_dit.{Q}.lora_A.weight", "video_dit", Q, "down", "mova"),
        (f"audio_dit.{Q}.lora_A.default.weight", "audio_dit", Q, "down", "diffsynth"),
        ("lora_unet_patch_embedding.lora_down.weight", "", "patch_embedding", "down", "kohya"),
        ("lora_unet_text_embedding_0.lora_up.weight", "", "text_embedding.0", "up", "kohya"),
        ("lora_unet_text_embedding_2.alpha", "", "text_embedding.2", "alpha", "kohya"),
        ("lora_unet_time_embedding_2.lora_up.weight", "", "time_embedding.2", "up", "kohya"),
        ("lora_unet_time_projection_1.dora_scale", "", "time_projection.1", "magnitude", "kohya"),
        ("lora_unet_head_head.diff_b", "", "head.head", "bias", "kohya"),
        ("lora_unet_head.diff_m", "", "head", "modulation", "kohya"),
        ("lora_unet__blocks_11_cross_attn_norm_k.diff", "", "blocks.11.cross_attn.norm_k", "weight", "kohya"),
        ("lora_unet_blocks_3_norm3.diff_b", "", "blocks.3.norm3", "bias", "kohya"),
        ("lora_unet_audio_dit_blocks_3_ffn_0.lora_down.weight", "audio_dit", "blocks.3.ffn.0", "down", "kohya"),
        ("lora_audio_dit_blocks_3_ffn_0.lora_down.weight", "audio_dit", "blocks.3.ffn.0", "down", "kohya"),
        ("lora_transformer_blocks_3_attn1_to_out_0.lora_down.weight", "", "blocks.3.self_attn.o", "down", "kohya"),
        (
            "lora_unet_audio_to_video_conditioners_3_inner_norm_q.w_norm", "",
            "audio_to_video_conditioners.3.inner.norm_q", "weight", "kohya",
        ),
        (f"{Q}.lora.down.weight", "", Q, "down", "plain"),
        (f"{Q}.lora_down.scale_weight", "", Q, "down_scale", "plain"),
    ],
)  # fmt: skip
def test_a_key_says_layer_part_component_and_style(key, component, path, part, style):
    found = parse_key(key)
    assert (found.component, found.path, found.part, found.style) == (component, path, part, style)


@pytest.mark.parametrize(
    "key",
    ["lora_unet_mid_block_3.alpha", "blocks.0.norm3.weight", "alpha", ".alpha", "lora_unet_.alpha", "", "a.lora_A."],
)
def test_other_keys_are_no_part_of_an_adapter(key):
    assert parse_key(key) is None


def test_a_whole_difference_names_the_tensor_that_it_is_added_to():
    names = {"norm3.diff": "norm3.weight", "norm3.diff_b": "norm3.bias", "diff_m": "modulation"}
    names |= {"modulation.diff": "modulation", "ffn.0.w_norm": "ffn.0.weight"}
    for ending, tensor in names.items():
        assert state_key(parse_key(f"blocks.7.{ending}")) == f"blocks.7.{tensor}"


@pytest.mark.parametrize(
    ("ending", "kind"),
    [
        ("lokr_w1", "LoKr"),
        ("lokr_w2_a", "LoKr"),
        ("hada_w1_a", "LoHa"),
        ("oft_blocks", "OFT"),
        ("lora_mid.weight", "Tucker-decomposed LoCon"),
        ("set_weight", "replaced-weight"),
        ("lora_embedding_A", "embedding"),
        ("lora_down.weight", ""),
    ],
)
def test_other_kinds_of_adapters_are_known_by_name(ending, kind):
    assert other_kind(f"diffusion_model.{Q}.{ending}") == kind
    assert is_lora([f"diffusion_model.{Q}.{ending}"])


def test_weights_are_not_taken_for_adapters():
    assert not is_lora([f"{Q}.weight", f"{Q}.bias", "x.alpha", "head.modulation"])
    assert is_lora([f"{Q}.diff_b"])
