"""First frames by a diffusers pipeline of a folder; nothing is downloaded."""

import json

import pytest

from mova.errors import ConfigError
from mova.generate.enhance.local_images import check_local, draw_locally
from mova.generate.enhance.settings import LocalImagesSection


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny unconditional-size text-to-image pipeline with random weights, as diffusers stores one."""
    import torch
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    path = tmp_path_factory.mktemp("pipeline")
    words = ["<|startoftext|>", "<|endoftext|>", "a</w>", "b</w>"]
    (path / "vocab.json").write_text(json.dumps({word: at for at, word in enumerate(words)}))
    (path / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer(str(path / "vocab.json"), str(path / "merges.txt"), model_max_length=16)
    torch.manual_seed(0)
    text = CLIPTextConfig(
        vocab_size=4, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1,
        max_position_embeddings=16, bos_token_id=0, eos_token_id=1, pad_token_id=1,
    )  # fmt: skip
    unet = UNet2DConditionModel(
        sample_size=8, block_out_channels=(8,), layers_per_block=1, norm_num_groups=4, cross_attention_dim=8,
        down_block_types=("CrossAttnDownBlock2D",), up_block_types=("CrossAttnUpBlock2D",), attention_head_dim=4,
    )  # fmt: skip
    vae = AutoencoderKL(block_out_channels=(8,), norm_num_groups=4, latent_channels=4)
    pipeline = StableDiffusionPipeline(
        vae, CLIPTextModel(text), tokenizer, unet, DDIMScheduler(), None, None, requires_safety_checker=False
    )
    pipeline.save_pretrained(path / "model")
    return path / "model"


@pytest.mark.filterwarnings("ignore")
def test_an_image_is_made_of_the_size_asked_for(folder):
    section = LocalImagesSection(folder=folder, steps=1)
    image = draw_locally("a b", (40, 20), section)
    assert image.shape == (16, 32, 3)
    assert (image == draw_locally("a b", (40, 20), section)).all()


def test_a_folder_without_a_pipeline_is_refused_before_anything_is_imported(tmp_path):
    with pytest.raises(ConfigError, match="nothing is downloaded"):
        check_local(LocalImagesSection(folder=tmp_path))


def test_a_damaged_pipeline_is_refused(tmp_path):
    (tmp_path / "model_index.json").write_text("{}")
    with pytest.raises(ConfigError, match="must hold a diffusers pipeline"):
        draw_locally("a", (32, 32), LocalImagesSection(folder=tmp_path))
