import json
import os

import pytest
import torch

from mova.codecs.preview import Preview
from mova.codecs.prompt import load_tokenizer
from mova.errors import CheckpointError
from mova.names import FEW_STEPS_FILE, SHIPPED_MODELS
from mova.pipeline.load import load_pipeline
from mova.pipeline.loading.save import _save_tokenizer, tokenizer_config
from mova.pipeline.pipeline import MovaPipeline
from mova.settings.scope import Scope, read_scope
from mova.weights.locate import ModelDefaults


@pytest.fixture
def fresh(checkpoint):
    pipeline = load_pipeline(checkpoint)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def run(pipeline):
    result = pipeline("a dog", height=32, width=32, num_frames=5, num_inference_steps=2, seed=0, output_type="latent")
    return result.frames, result.audio


def test_saved_pipeline_loads_and_gives_the_same(fresh, tmp_path):
    fresh.defaults = ModelDefaults(num_frames=49, guidance_scale=3.0)
    before = run(fresh)
    fresh.save_pretrained(tmp_path / "model")
    again = MovaPipeline.from_pretrained(tmp_path / "model")
    again.set_progress_bar_config(disable=True)
    assert again.defaults == fresh.defaults
    assert all(torch.equal(one, other) for one, other in zip(before, run(again), strict=True))


def test_saved_index_and_configs_name_the_official_classes(fresh, tmp_path, checkpoint):
    fresh.save_pretrained(tmp_path)
    index, published = (json.loads((folder / "model_index.json").read_text()) for folder in (tmp_path, checkpoint))
    assert {**index, "_diffusers_version": ""} == {**published, "_diffusers_version": ""}
    for part in ("video_dit", "audio_dit", "dual_tower_bridge", "audio_vae", "video_vae"):
        saved, official = (json.loads((folder / part / "config.json").read_text()) for folder in (tmp_path, checkpoint))
        assert {**saved, "_diffusers_version": ""} == {**official, "_diffusers_version": ""}
    scheduler = json.loads((tmp_path / "scheduler" / "scheduler_config.json").read_text())
    assert scheduler["_class_name"] == "FlowMatchPairScheduler"
    assert scheduler["shift"] == 5.0
    assert (
        json.loads((tmp_path / "tokenizer" / "tokenizer_config.json").read_text())["tokenizer_class"] == "T5Tokenizer"
    )


def _assert_read_by_every_transformers(config):
    """The types that transformers 4.57 takes; it fails at a list of `extra_special_tokens`."""
    assert isinstance(config["extra_special_tokens"], dict)
    assert all(isinstance(token, str) for token in config["additional_special_tokens"])
    assert config["tokenizer_class"] == "T5Tokenizer"
    assert isinstance(config["model_max_length"], int)
    assert isinstance(config["extra_ids"], int)
    assert not {"backend", "is_local", "local_files_only"} & config.keys()


def test_tokenizers_are_written_as_the_official_code_reads_them(tmp_path):
    shipped = SHIPPED_MODELS / "mova-tiny" / "tokenizer"
    _assert_read_by_every_transformers(json.loads((shipped / "tokenizer_config.json").read_text()))
    tokenizer = load_tokenizer(shipped)
    _save_tokenizer(tokenizer, tmp_path)
    _assert_read_by_every_transformers(json.loads((tmp_path / "tokenizer_config.json").read_text()))
    again, text = load_tokenizer(tmp_path), "Glass, keys <extra_id_0> & drums </s> <pad>"
    assert again(text)["input_ids"] == tokenizer(text)["input_ids"]
    old = {"extra_special_tokens": ["<extra_id_0>"], "backend": "tokenizers", "extra_ids": 1, "model_max_length": 96}
    _assert_read_by_every_transformers(tokenizer_config(old))


def test_what_belongs_to_a_model_is_saved_with_it(tmp_path):
    shipped = load_pipeline("mova-tiny")
    shipped.save_pretrained(tmp_path / "model")
    again = load_pipeline(tmp_path / "model")
    assert again.defaults == shipped.defaults
    assert (tmp_path / "model" / FEW_STEPS_FILE).read_bytes() == shipped.few_steps_file.read_bytes()
    assert read_scope(tmp_path / "model") == read_scope(shipped.folder) != Scope()
    assert Preview.for_model(tmp_path / "model").record() == Preview.for_model(shipped.folder).record()
    # In the weights and beside them it would act twice.
    shipped.load_lora_weights(shipped.few_steps_file)
    shipped.save_pretrained(tmp_path / "model")
    assert not (tmp_path / "model" / FEW_STEPS_FILE).exists()


@pytest.mark.parametrize("mask", [0o022, 0o027, 0o077])
def test_files_have_the_modes_that_the_umask_asks_for(fresh, tmp_path, mask):
    before = os.umask(mask)
    try:
        fresh.save_pretrained(tmp_path / "model")
    finally:
        os.umask(before)
    for path in (tmp_path / "model", *(tmp_path / "model").rglob("*")):
        assert path.stat().st_mode & 0o777 == (0o777 if path.is_dir() else 0o666) & ~mask, path


def test_weights_can_be_saved_small_and_in_shards(fresh, tmp_path):
    fresh.save_pretrained(tmp_path, torch_dtype=torch.bfloat16, max_shard_size="200KB")
    assert len(list((tmp_path / "video_dit").glob("*-of-*.safetensors"))) > 1
    again = load_pipeline(tmp_path)
    weight = again.video_dit.blocks[0].ffn[0].weight
    assert weight.dtype == torch.float32
    torch.testing.assert_close(weight, fresh.video_dit.blocks[0].ffn[0].weight, atol=1e-2, rtol=1e-2)


def test_a_single_expert_is_saved_as_such(fresh, tmp_path):
    MovaPipeline(**(fresh.components | {"video_dit_2": None})).save_pretrained(tmp_path)
    assert json.loads((tmp_path / "model_index.json").read_text())["video_dit_2"] == [None, None]
    assert load_pipeline(tmp_path).video_dit_2 is None


def test_a_half_written_directory_is_no_model(fresh, tmp_path, monkeypatch):
    from mova.pipeline.loading import save

    fresh.save_pretrained(tmp_path)

    def fail(*_, **__):
        raise OSError("No space left on device")

    monkeypatch.setattr(save, "write_component", fail)
    with pytest.raises(CheckpointError, match=r"cannot be written .*: No space left"):
        fresh.save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match=r"must hold model_index\.json"):
        load_pipeline(tmp_path)
