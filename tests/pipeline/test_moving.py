"""Weights cast, moved and laid to rest after loading, in the words of diffusers."""

import pytest
import torch

from mova.errors import ConfigError
from mova.pipeline.load import load_pipeline
from mova.pipeline.pipeline import MovaPipeline
from mova.pipeline.runtime import Runtime

from .test_sharing import lora, own  # noqa: F401 - fixtures


def clip(pipeline, short, **changes):
    pipeline.set_progress_bar_config(disable=True)
    result = pipeline("a dog", **(short | {"seed": 0, "output_type": "pt"} | changes))
    return result.frames, result.audio


def dtypes(pipeline):
    parts = ("video_dit", "video_dit_2", "audio_dit", "dual_tower_bridge", "text_encoder", "video_vae", "audio_vae")
    return {
        f"{part}.{key}": value.dtype for part in parts for key, value in getattr(pipeline, part).state_dict().items()
    }


@pytest.mark.parametrize(
    ("placement", "dtype"),
    [
        *((placement, torch.bfloat16) for placement in ("resident", "phases", "stream")),
        ("resident", torch.float16),
        *(pytest.param(placement, torch.float16, marks=pytest.mark.slow) for placement in ("phases", "stream")),
    ],
)
def test_a_cast_pipeline_is_one_that_was_loaded_so_and_generates(checkpoint, short, dtype, placement):
    cast = load_pipeline(checkpoint, runtime=Runtime(placement))
    assert cast.to(dtype) is cast
    assert cast.dtype == dtype
    loaded = load_pipeline(checkpoint, dtype=dtype)
    if placement == "resident":
        assert dtypes(cast) == dtypes(loaded)
    assert {cast.video_vae.dtype, cast.audio_vae.dtype} == {torch.float32}
    for one, other in zip(clip(cast, short), clip(loaded, short), strict=True):
        assert one.isfinite().all()
        torch.testing.assert_close(one, other, rtol=0, atol=0.05)


def test_a_cast_to_what_it_is_changes_nothing_and_back_is_possible(own, short):  # noqa: F811
    before, kept = clip(own, short), dtypes(own)
    own.to(torch.float32).to("cpu").to("cpu", torch.float32).to(device="cpu", dtype=torch.float32)
    assert all(torch.equal(one, other) for one, other in zip(before, clip(own, short), strict=True))
    own.to(torch.bfloat16).to(torch.float32)
    assert dtypes(own) == kept


def test_loras_stay_and_can_be_taken_out_after_a_cast(own, lora, checkpoint):  # noqa: F811
    own.load_lora_weights(lora)
    own.to(torch.bfloat16)
    own.unload_lora_weights()
    loaded = load_pipeline(checkpoint, dtype=torch.bfloat16)
    assert all(
        torch.equal(value, loaded.video_dit.state_dict()[key]) for key, value in own.video_dit.state_dict().items()
    )


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((torch.int8,), r"dtype must be one of torch\.float32, torch\.bfloat16, torch\.float16, got torch\.int8"),
        ((torch.float64,), "got torch.float64; nearest is bfloat16"),
        (("cuda:77",), "where torch finds"),
        (("gpu",), "device must be one of cpu, cuda, mps"),
        (("cpu", torch.float32, 3), "got 3 values"),
        (("cpu", "cpu"), "to takes one device"),
    ],
    ids=str,
)
def test_what_no_pipeline_can_be_is_refused_by_name(pipe, arguments, text):
    with pytest.raises(ConfigError, match=text):
        pipe.to(*arguments)


@pytest.mark.parametrize(
    ("word", "options", "placement"),
    [
        ("enable_model_cpu_offload", {}, "phases"),
        ("enable_sequential_cpu_offload", {}, "stream"),
        ("enable_group_offload", {"offload_type": "leaf_level", "use_stream": True}, "stream"),
        ("enable_group_offload", {"num_blocks_per_group": 1, "offload_to_disk_path": "/tmp"}, "disk"),
    ],
)
def test_words_for_offload_are_placements_and_can_be_taken_back(own, short, word, options, placement):  # noqa: F811
    before = clip(own, short)
    device = {"onload_device" if "group" in word else "device": "cpu"}
    getattr(own, word)(**device, **options)
    assert own.placement_name == placement
    for one, other in zip(clip(own, short), before, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-4)
    assert own.placement.resident_bytes() == 0
    own.enable_model_cpu_offload(device="cpu")
    assert own.placement_name == "phases"
    own.reset_device_map()
    assert own.placement_name == "resident"
    for one, other in zip(clip(own, short), before, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-4)


def test_without_a_gpu_there_is_nothing_to_free(own, monkeypatch, caplog):  # noqa: F811
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with caplog.at_level("INFO"):
        own.enable_model_cpu_offload()
        own.enable_sequential_cpu_offload()
        own.enable_group_offload()
    assert own.placement_name == "resident"
    assert caplog.text.count("there is no GPU to free memory of") == 3


def test_what_group_offload_cannot_do_is_said(own):  # noqa: F811
    with pytest.raises(ConfigError, match="exclude_modules must be empty"):
        own.enable_group_offload("cpu", exclude_modules=["video_vae"])
    with pytest.raises(ConfigError, match="offload_device must be cpu"):
        own.enable_group_offload("cpu", "meta")
    with pytest.raises(ConfigError, match="besides, got 'blocks'"):
        own.enable_group_offload("cpu", blocks=3)


def test_quantized_weights_and_weights_that_rest_say_what_to_do_instead(checkpoint):
    placed = MovaPipeline.from_pretrained(checkpoint, device="cpu", runtime=Runtime("phases"))
    assert placed.to("cpu") is placed
    quantized = MovaPipeline.from_pretrained(checkpoint, device="cpu", runtime=Runtime("resident", quantization="int8"))
    with pytest.raises(ConfigError, match="quantised as int8 keep the dtype"):
        quantized.to(torch.bfloat16)
