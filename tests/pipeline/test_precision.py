"""In which dtype each part computes, and what "auto" takes: by device, processor and model."""

import logging

import numpy as np
import pytest
import torch

from mova import device as devices
from mova.checks import PRECISIONS
from mova.codecs.video import decoder_dtype
from mova.device import PRECISION_VARIABLE
from mova.errors import ConfigError
from mova.pipeline import precision as chooses
from mova.pipeline.load import load_pipeline
from mova.pipeline.precision import choose_dtypes
from mova.pipeline.runtime import Runtime

CPU, GPU = torch.device("cpu"), torch.device("cuda")
HALF, WHOLE = torch.bfloat16, torch.float32


@pytest.fixture(params=[True, False], ids=["multiplies", "does not"])
def multiplies(request, monkeypatch):
    """A processor that multiplies bfloat16, and one that does not; nothing in the environment."""
    for module in (chooses, devices):
        monkeypatch.setattr(module, "multiplies_bfloat16", lambda: request.param)
    monkeypatch.delenv(PRECISION_VARIABLE)
    return request.param


@pytest.mark.parametrize("holds", [True, False])
def test_auto_takes_bfloat16_on_a_cpu_that_multiplies_it_for_a_model_that_bears_it(multiplies, holds):
    chosen = choose_dtypes(CPU, precision="auto", holds=holds)
    wanted = HALF if multiplies and holds else WHOLE
    assert (chosen.towers, chosen.decoding) == (wanted, wanted)


@pytest.mark.parametrize("holds", [True, False])
def test_a_gpu_and_whoever_says_nothing_get_what_they_got(multiplies, holds):
    for precision in (None, "auto", "bfloat16"):
        chosen = choose_dtypes(GPU, precision=precision, holds=holds)
        assert (chosen.towers, chosen.decoding) == (HALF, WHOLE)
    assert choose_dtypes(GPU, precision="float32").towers == WHOLE
    assert choose_dtypes(CPU, holds=holds) == choose_dtypes(CPU, precision="float32", holds=holds)
    assert choose_dtypes(CPU, holds=holds).towers == WHOLE


def test_bfloat16_by_name_works_on_any_processor_and_says_once_where_it_is_slow(multiplies, caplog):
    with caplog.at_level(logging.WARNING):
        chosen = choose_dtypes(CPU, precision="bfloat16")
    # Convolutions without such instructions would take more than a hundred times as long.
    assert (chosen.towers, chosen.decoding) == (HALF, HALF if multiplies else WHOLE)
    assert [record.getMessage() for record in caplog.records] == (
        []
        if multiplies
        else [
            "precision bfloat16: this processor does not multiply bfloat16 (AVX512-BF16 or AMX would), a step takes "
            "about 2 to 3 times as long as with float32, which is nearest"
        ]
    )


@pytest.mark.parametrize("name", PRECISIONS)
def test_the_environment_says_what_auto_takes_on_a_cpu_alone(monkeypatch, name):
    monkeypatch.setattr(devices, "multiplies_bfloat16", lambda: True)
    monkeypatch.setenv(PRECISION_VARIABLE, name)
    assert choose_dtypes(CPU, precision="auto", holds=True).towers == (WHOLE if name == "float32" else HALF)
    assert choose_dtypes(CPU, precision="float32", holds=True).towers == WHOLE
    assert choose_dtypes(GPU, precision="auto").towers == HALF


def test_a_wrong_environment_and_two_choices_are_refused(monkeypatch):
    monkeypatch.setenv(PRECISION_VARIABLE, "half")
    with pytest.raises(ConfigError, match=r"MOVA_PRECISION must be one of auto, float32, bfloat16; got 'half'"):
        choose_dtypes(CPU, precision="auto")
    with pytest.raises(ConfigError, match=r"dtype and precision are one choice, got torch.float16 and bfloat16"):
        choose_dtypes(CPU, dtype=torch.float16, precision="bfloat16")


@pytest.mark.parametrize(("precision", "wanted"), [(None, WHOLE), ("float32", WHOLE), ("bfloat16", HALF)])
def test_each_part_has_its_dtype(checkpoint, monkeypatch, precision, wanted):
    monkeypatch.setattr(chooses, "multiplies_bfloat16", lambda: True)
    made = load_pipeline(checkpoint, runtime=Runtime(precision=precision))
    block = made.video_dit.blocks[0]
    for part in (block.ffn[0], block.self_attn.q, made.audio_dit.head.head, made.text_encoder.shared):
        assert part.weight.dtype == wanted
    assert next(made.dual_tower_bridge.audio_to_video_conditioners.children()).inner.q.weight.dtype == wanted
    assert decoder_dtype(made.video_vae) == next(made.video_vae.decoder.parameters()).dtype == wanted
    kept = (made.video_vae.encoder, made.video_vae.quant_conv, made.audio_vae, made.video_dit.time_projection)
    assert {tensor.dtype for part in kept for tensor in part.parameters()} == {WHOLE}
    assert {block.modulation.dtype, block.norm3.weight.dtype} == {WHOLE}
    assert made.dtype == wanted


def test_a_clip_in_bfloat16_is_the_same_wherever_its_weights_wait_and_latents_stay_float32(checkpoint, short):
    made = []
    for memory in ("resident", "disk"):
        pipeline = load_pipeline(checkpoint, runtime=Runtime(memory=memory, precision="bfloat16"))
        pipeline.set_progress_bar_config(disable=True)
        seen = []

        def look(_, __, ___, values, seen=seen):
            seen.append(values["latents"].dtype)
            return values

        made.append(pipeline("a dog", seed=0, output_type="np", callback_on_step_end=look, **short).frames)
        assert set(seen) == {WHOLE}
    assert np.array_equal(*made)


def test_another_dtype_or_device_brings_the_decoder_along(checkpoint, monkeypatch):
    monkeypatch.setattr(chooses, "multiplies_bfloat16", lambda: True)
    pipeline = load_pipeline(checkpoint, runtime=Runtime(precision="bfloat16"))
    assert decoder_dtype(pipeline.to(torch.bfloat16).video_vae) == WHOLE
    assert decoder_dtype(pipeline.to(torch.float32).video_vae) == WHOLE


def test_a_clip_of_the_shipped_model_in_bfloat16_is_close_to_that_in_float32():
    asked = {"seed": 0, "num_inference_steps": 2, "height": 64, "width": 64, "output_type": "np"}
    clips = []
    for precision in ("float32", "bfloat16"):
        pipeline = load_pipeline("mova-tiny", runtime=Runtime(precision=precision))
        pipeline.set_progress_bar_config(disable=True)
        clips.append(pipeline("a red ball falls on a drum and bounces", **asked).clip())
    one, other = (clip.frames.astype(np.float32) for clip in clips)
    distance = np.square(one - other).mean()
    assert 0 < distance < 255**2 / 10**3.8, "nearer than 38 dB, and not the same"
    assert np.abs(clips[0].waveform - clips[1].waveform).mean() < 0.25 * np.abs(clips[0].waveform).mean()
