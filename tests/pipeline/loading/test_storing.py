"""Words with which diffusers' users load and save a pipeline: each takes effect or is refused by name."""

import shutil
import sys
from fnmatch import fnmatch

import pytest
import torch
from safetensors.torch import load_file, save_file

from mova.errors import CheckpointError, ConfigError
from mova.pipeline.load import load_pipeline
from mova.pipeline.pipeline import MovaPipeline

STEM = "diffusion_pytorch_model"


@pytest.fixture
def model(checkpoint, tmp_path):
    """A copy of the checkpoint to change."""
    return shutil.copytree(checkpoint, tmp_path / "model")


@pytest.mark.parametrize("word", ["dtype", "torch_dtype"])
@pytest.mark.parametrize("value", [torch.bfloat16, "bfloat16", "torch.bfloat16"])
def test_a_dtype_is_taken_by_either_word_as_object_or_name(checkpoint, word, value):
    pipeline = MovaPipeline.from_pretrained(checkpoint, device="cpu", **{word: value})
    assert pipeline.dtype == torch.bfloat16
    assert pipeline.audio_vae.dtype == torch.float32


def test_auto_is_the_dtype_of_the_stored_weights(pipe, model):
    pipe.save_pretrained(model, torch_dtype=torch.bfloat16)
    assert MovaPipeline.from_pretrained(model, device="cpu", torch_dtype="auto").dtype == torch.bfloat16
    assert MovaPipeline.from_pretrained(model, device="cpu").dtype == torch.float32


def test_auto_goes_by_what_most_weights_have(tmp_path):
    MovaPipeline.from_pretrained("mova-tiny", device="cpu").save_pretrained(tmp_path, torch_dtype=torch.bfloat16)
    again = MovaPipeline.from_pretrained(tmp_path, device="cpu", torch_dtype="auto")
    assert again.video_dit.blocks[0].self_attn.q.weight.dtype == torch.bfloat16


@pytest.mark.parametrize("device_map", ["cpu", "auto", "balanced", {"": "cpu"}], ids=str)
def test_a_device_map_is_a_device_or_left_to_us(checkpoint, device_map):
    expected = "cuda" if device_map in ("auto", "balanced") and torch.cuda.is_available() else "cpu"
    assert MovaPipeline.from_pretrained(checkpoint, device_map=device_map)._execution_device.type == expected


def test_words_for_the_hub_reach_it(checkpoint, monkeypatch, tmp_path):
    import huggingface_hub

    asked = []

    def snapshot_download(*arguments, **words):
        asked.append((arguments, words))
        return str(checkpoint)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    monkeypatch.chdir(tmp_path)
    words = {
        "revision": "v1",
        "token": "secret",
        "cache_dir": tmp_path / "cache",
        "local_files_only": True,
        "force_download": True,
    }
    MovaPipeline.from_pretrained("example-owner/none", device="cpu", **words)
    ((arguments, given),) = asked
    patterns = given.pop("allow_patterns")
    assert (arguments, given) == (("example-owner/none",), words)
    # Nothing that a model does not need: no pickled weights, no code.
    needless = ("x/model.bin", "x/model.pt", "code.py", "assets/demo.mp4")
    assert not [name for name in needless if any(fnmatch(name, pattern) for pattern in patterns)]


def test_a_folder_has_no_revisions(checkpoint):
    MovaPipeline.from_pretrained(checkpoint, device="cpu", revision="main", local_files_only=True, token=None)
    with pytest.raises(CheckpointError, match="revision is for models of the hub, got v1"):
        MovaPipeline.from_pretrained(checkpoint, device="cpu", revision="v1")


@pytest.mark.parametrize("sharded", [False, True])
def test_a_variant_picks_its_files_where_a_component_has_them(model, sharded):
    folder = model / "video_dit"
    plain = load_file(folder / f"{STEM}.safetensors")
    changed = {key: (value + 1).half() for key, value in plain.items()}
    if sharded:
        names = {key: f"{STEM}.fp16-0000{1 + index % 2}-of-00002.safetensors" for index, key in enumerate(changed)}
        for name in set(names.values()):
            save_file({key: value for key, value in changed.items() if names[key] == name}, folder / name)
        import json

        (folder / f"{STEM}.safetensors.index.fp16.json").write_text(json.dumps({"weight_map": names}))
    else:
        save_file(changed, folder / f"{STEM}.fp16.safetensors")
    key = "blocks.0.ffn.0.bias"
    picked = MovaPipeline.from_pretrained(model, device="cpu", variant="fp16")
    assert torch.equal(picked.video_dit.state_dict()[key], changed[key].float())
    assert torch.equal(load_pipeline(model).video_dit.state_dict()[key], plain[key])
    assert torch.equal(picked.audio_dit.state_dict()[key], load_pipeline(model).audio_dit.state_dict()[key])


def test_a_variant_that_is_not_there_is_refused(model):
    with pytest.raises(ConfigError, match=r"variant must be one that the model has, got 'fp16'"):
        MovaPipeline.from_pretrained(model, device="cpu", variant="fp16")
    with pytest.raises(CheckpointError, match="variant must be a word such as fp16"):
        MovaPipeline.from_pretrained(model, device="cpu", variant="../x")


def test_components_that_are_given_take_the_place_of_those_of_the_model(pipe, checkpoint):
    given = MovaPipeline.from_pretrained(checkpoint, device="cpu", video_dit_2=None, audio_vae=pipe.audio_vae)
    assert given.video_dit_2 is None
    assert given.audio_vae is pipe.audio_vae
    with pytest.raises(ConfigError, match="video_dit cannot be left out"):
        MovaPipeline.from_pretrained(checkpoint, device="cpu", video_dit=None)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ({"torch_dtyp": None}, "got 'torch_dtyp'; nearest is torch_dtype"),
        ({"dtype": torch.int8}, r"dtype must be one of torch\.float32"),
        ({"dtype": "fp8"}, "dtype must be auto or one of float32, bfloat16, float16, got 'fp8'"),
        ({"dtype": torch.float16, "torch_dtype": torch.float32}, "are one word"),
        ({"device": "cpu", "device_map": "cpu"}, "device and device_map are both given"),
        ({"device_map": {"video_dit": 0}}, "device_map must be one device, 'auto' or 'balanced'"),
        ({"device": "gpu"}, "device must be one of"),
        ({"use_safetensors": False}, "use_safetensors must be True here, got False"),
        ({"trust_remote_code": True}, "trust_remote_code must be False here"),
    ],
    ids=str,
)
def test_what_takes_no_effect_is_refused_by_name(checkpoint, words, text):
    with pytest.raises(ConfigError, match=text):
        MovaPipeline.from_pretrained(checkpoint, **words)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ({"variant": "fp16"}, "variant must be None here, got 'fp16'"),
        ({"safe_serialization": False}, "safe_serialization must be True here, got False"),
        ({"push_to_hub": True}, "push_to_hub must be False here, got True"),
        ({"max_shard_sise": 3}, "got 'max_shard_sise'; nearest is max_shard_size"),
        ({"max_shard_size": "lots"}, "max_shard_size must be a number of bytes or a text such as 16MB, got 'lots'"),
        ({"max_shard_size": 0}, "max_shard_size must be a number of bytes"),
    ],
    ids=str,
)
def test_what_saving_cannot_do_is_refused_before_anything_is_written(pipe, tmp_path, words, text):
    with pytest.raises(ConfigError, match=text):
        pipe.save_pretrained(tmp_path / "model", **words)
    assert not (tmp_path / "model").exists()


def test_the_model_is_a_name_or_a_path():
    with pytest.raises(ConfigError, match="given by name or path, got None"):
        MovaPipeline.from_pretrained(None)


def test_classes_of_components_are_noted_alike_whether_or_not_the_compiler_is_imported(pipe, monkeypatch):
    noted = dict(MovaPipeline(**pipe.components).config)
    monkeypatch.delitem(sys.modules, "torch._dynamo")
    made = MovaPipeline(**pipe.components)
    assert dict(made.config) == noted
    assert made.video_dit is pipe.video_dit
    assert "torch._dynamo" not in sys.modules
    without = MovaPipeline(**{**pipe.components, "video_dit_2": None})
    assert without.config["video_dit_2"] == (None, None)
