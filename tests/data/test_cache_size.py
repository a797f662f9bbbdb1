"""Bytes of encoded clips and captions, against real files and tensors."""

import json
import shutil

import pytest
import torch

from mova.data.cache_size import sizes_from_configs, sizes_from_directory
from mova.data.latents import open_splits
from mova.errors import CheckpointError
from mova.plan.published import find_configs
from mova.train.config import ToyDataConfig
from mova.weights.locate import find_model

MODEL = find_model("mova-tiny")


@pytest.mark.parametrize(("size", "num_frames"), [(32, 9), (48, 5)])
def test_the_bytes_are_those_of_real_clips_and_captions(tmp_path, size, num_frames):
    data = ToyDataConfig(num_clips=3, validation_clips=2, size=size, num_frames=num_frames, workers=1)
    opened = open_splits(data, model=MODEL, cache=tmp_path, device=torch.device("cpu"))
    sizes = sizes_from_directory(MODEL)
    clip = sizes.clip_bytes((size, size), num_frames, 24.0)
    # Three clips and as many captions, in memory as they are stored.
    assert opened["train"].host_bytes == 3 * clip + len({*opened["train"]._text_keys}) * sizes.text_bytes
    whites, texts = 1, len({*opened["train"]._text_keys, *opened["validation"]._text_keys}) + 1
    on_disk = sum(path.stat().st_size for path in tmp_path.rglob("*.safetensors"))
    planned = sizes.files_bytes([clip] * 5 + [clip // 2] * whites, texts)
    assert on_disk <= planned <= on_disk + 1100 * (5 + whites + texts)


def test_a_caption_of_the_published_models_takes_four_megabytes():
    sizes = sizes_from_configs(find_configs("mova-360p"))
    assert sizes.text_bytes == 512 * 4096 * 2
    assert sizes.clip_bytes((352, 640), 193, 24.0) == 2 * (2 * 16 * 49 * 44 * 80 + 4 * 49 + 128 * 403 + 49 + 403)


@pytest.mark.parametrize("text", ["{}", '{"d_model": "wide"}', "[]", "{"])
def test_configs_that_do_not_say_it_are_refused(tmp_path, text):
    for part in ("video_vae", "audio_vae", "text_encoder"):
        (tmp_path / part).mkdir()
        shutil.copy(MODEL / part / "config.json", tmp_path / part)
    (tmp_path / "tokenizer").mkdir()
    (tmp_path / "tokenizer" / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 1e30}))
    assert sizes_from_directory(tmp_path).num_prompt_tokens == 512
    (tmp_path / "text_encoder" / "config.json").write_text(text)
    with pytest.raises(CheckpointError):
        sizes_from_directory(tmp_path)
    shutil.rmtree(tmp_path / "text_encoder")
    with pytest.raises(CheckpointError, match="encoding needs text_encoder"):
        sizes_from_directory(tmp_path)
