"""VideoReward on random weights: names, shapes, and where its numbers are read."""

import pytest
import torch
from transformers import Qwen2VLConfig

from mova.scorers.front_ends.qwen_video import Grid, token_places
from mova.scorers.networks.video_reward import Adapters, VideoRewardNetwork

MARKS = (40, 41, 42)
VIDEO = 39
GRID = Grid(2, 4, 4)


def small_config(vocabulary=48):
    """Return a Qwen2-VL of a thousandth of the size."""
    return Qwen2VLConfig(
        text_config={
            "hidden_size": 32,
            "intermediate_size": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "vocab_size": vocabulary,
            "rope_parameters": {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 1_000_000.0},
        },
        vision_config={"depth": 1, "embed_dim": 16, "num_heads": 2, "hidden_size": 32},
        video_token_id=VIDEO,
    )


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    made = VideoRewardNetwork(small_config(), Adapters(4, 2.0), torch.float32).eval()
    for name, parameter in made.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    return made


def judged(network, marks=MARKS, text=(1, 2)):
    ids = torch.tensor([*text, *[VIDEO] * GRID.tokens, 3, MARKS[0], 4, MARKS[1], 5, MARKS[2], 6])
    patches = torch.randn(GRID.times * 16, 1176, generator=torch.Generator().manual_seed(1))
    places = token_places(len(text), GRID, 7)
    with torch.inference_mode():
        return network(ids, patches, GRID, places, marks)


def test_names_are_those_of_a_checkpoint_with_adapters_of_transformers_4_45(network):
    names = set(network.state_dict())
    layer = "model.layers.1."
    assert {
        "model.embed_tokens.weight",
        f"{layer}self_attn.q_proj.base_layer.weight",
        f"{layer}self_attn.q_proj.base_layer.bias",
        f"{layer}self_attn.q_proj.lora_A.default.weight",
        f"{layer}mlp.down_proj.lora_B.default.weight",
        f"{layer}input_layernorm.weight",
        "model.norm.weight",
        "visual.patch_embed.proj.weight",
        "visual.blocks.0.attn.qkv.weight",
        "visual.merger.mlp.2.weight",
        "rm_head.weight",
    } <= names
    assert not [name for name in names if "lora" in name and name.startswith("visual")]


def test_shapes_of_the_published_size_follow_from_the_configuration():
    config = Qwen2VLConfig(
        text_config={
            "hidden_size": 1536,
            "intermediate_size": 8960,
            "num_hidden_layers": 28,
            "num_attention_heads": 12,
            "num_key_value_heads": 2,
            "vocab_size": 151_660,
        },
        vision_config={"hidden_size": 1536},
    )
    with torch.device("meta"):
        state = VideoRewardNetwork(config).state_dict()
    assert state["model.embed_tokens.weight"].shape == (151_660, 1536)
    assert state["model.layers.27.self_attn.k_proj.lora_B.default.weight"].shape == (256, 64)
    assert state["rm_head.weight"].shape == (1, 1536)
    assert state["visual.blocks.31.mlp.fc1.weight"].shape == (5120, 1280)
    assert {tensor.dtype for tensor in state.values()} == {torch.bfloat16}


def test_a_state_comes_back_also_from_the_meta_device(network):
    with torch.device("meta"):
        other = VideoRewardNetwork(small_config(), Adapters(4, 2.0), torch.float32)
    other.load_state_dict(network.state_dict() | {"lm_head.weight": torch.zeros(1)}, assign=True)
    assert torch.equal(judged(other.eval()), judged(network))


def test_a_number_is_read_at_each_mark_in_the_order_of_the_marks(network):
    found = judged(network)
    assert found.shape == (3,)
    assert torch.allclose(judged(network, (42, 40, 41)), found[[2, 0, 1]], atol=1e-6)
    assert len(set(found.tolist())) == 3


def test_adapters_count(network):
    before = judged(network)
    for module in network.modules():
        if hasattr(module, "lora_A"):
            module._scale = 0.0
    after = judged(network)
    for module in network.modules():
        if hasattr(module, "lora_A"):
            module._scale = 2.0
    assert not torch.allclose(before, after, atol=1e-4)


def test_a_prompt_that_names_a_mark_is_refused(network):
    with pytest.raises(ValueError, match=r"once, got \[1, 2, 1\]"):
        judged(network, text=(1, 41))
