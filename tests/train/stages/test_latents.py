"""Encoded clips against direct encoding."""

import shutil

import pytest
import torch

from mova.codecs.audio import encode_audio
from mova.codecs.conditioning import frame_condition
from mova.codecs.prompt import encode_prompts, load_tokenizer
from mova.codecs.video import encode_video, frames_to_tensor
from mova.errors import CheckpointError
from mova.geometry import ClipGeometry, CodecGeometry
from mova.models.convert import load_component
from mova.toyworld import render, sample_scene, split_seed
from mova.train.stages.latents import LAST_FRAME_EVERY, LatentsStage, load_latents

CPU = torch.device("cpu")
# Latents are kept in float16.
TOLERANCE = {"atol": 2e-3, "rtol": 2e-3}


@pytest.fixture(scope="module")
def latents(ladder_run):
    return load_latents(ladder_run[0] / "latents", "train", 10, CPU)


@pytest.fixture(scope="module")
def encoders(ladder_run):
    model = ladder_run[0] / "model"
    names = ("video_vae", "audio_vae", "text_encoder")
    return {name: load_component(model / name) for name in names} | {"tokenizer": load_tokenizer(model / "tokenizer")}


def clip_of(index):
    scene = sample_scene(split_seed("train", index))
    return render(scene, size=32, num_frames=17, frame_rate=24.0, sample_rate=16_000)


def geometry():
    return ClipGeometry(32, 32, 17, 24.0, CodecGeometry(spatial_stride=8, temporal_stride=4, video_channels=16))


@pytest.mark.parametrize("index", [0, 3, 8, 9])
@torch.no_grad()
def test_latents_are_those_of_encoding_the_clip_directly(latents, encoders, index):
    made = clip_of(index)
    frames = frames_to_tensor(made.clip.frames)
    video = encode_video(encoders["video_vae"], frames)
    torch.testing.assert_close(latents.video[index], video[0], **TOLERANCE)
    waveform = torch.from_numpy(made.clip.waveform).unsqueeze(0)
    audio = encode_audio(encoders["audio_vae"], waveform)
    torch.testing.assert_close(latents.audio[index], audio[0], **TOLERANCE)
    prompt = encode_prompts(encoders["tokenizer"], encoders["text_encoder"], [made.caption]).embeds
    torch.testing.assert_close(latents.prompts[index], prompt[0], **TOLERANCE)
    known = {0: frames[:, :, 0]} | ({-1: frames[:, :, -1]} if index % LAST_FRAME_EVERY == 0 else {})
    condition = frame_condition(encoders["video_vae"], known, geometry())[0]
    torch.testing.assert_close(latents.condition[index], condition[4:], **TOLERANCE)
    assert torch.equal(latents.mask[index], condition[:4, :, 0, 0])


@torch.no_grad()
def test_the_null_prompt_and_the_white_frame_come_along(latents, encoders):
    null = encode_prompts(encoders["tokenizer"], encoders["text_encoder"], [""]).embeds[0]
    torch.testing.assert_close(latents.null_prompt, null, **TOLERANCE)
    white = frame_condition(encoders["video_vae"], {}, geometry())[0, 4:]
    torch.testing.assert_close(latents.white_condition, white, **TOLERANCE)


@pytest.fixture
def run_copy(ladder_run, tmp_path):
    """Model and latents of the ladder, to be changed."""
    for name in ("model", "latents"):
        shutil.copytree(ladder_run[0] / name, tmp_path / name)
    return tmp_path


def test_a_finished_block_is_not_made_again(run_copy, make_config):
    shown = []
    lost = run_copy / "latents" / "validation_0000000.safetensors"
    kept = run_copy / "latents" / "train_0000000.safetensors"
    before, time = lost.read_bytes(), kept.stat().st_mtime_ns
    lost.unlink()
    config = make_config("tiny_latents", run_copy / "model")
    LatentsStage(config, run_copy / "latents").run(shown.append)
    assert [(one.step, one.total) for one in shown] == [(1, 1)]
    assert kept.stat().st_mtime_ns == time
    assert lost.read_bytes() == before
    LatentsStage(config, run_copy / "latents").run(shown.append)
    assert len(shown) == 1


def test_rendered_frames_do_not_stay(ladder_run):
    names = sorted(path.name for path in (ladder_run[0] / "latents").iterdir())
    assert names == ["train_0000000.safetensors", "validation_0000000.safetensors"]


def test_missing_and_short_blocks_name_the_stage_that_makes_them(ladder_run, tmp_path):
    with pytest.raises(CheckpointError, match="run the stage 'latents' first, with at least 10 clips"):
        load_latents(tmp_path, "train", 10, CPU)
    with pytest.raises(CheckpointError, match=r"holds 10 clips and 11 are needed; .*stage 'latents'"):
        load_latents(ladder_run[0] / "latents", "train", 11, CPU)


def test_fewer_clips_are_the_first_ones(ladder_run, latents):
    few = load_latents(ladder_run[0] / "latents", "train", 4, CPU)
    assert torch.equal(few.video, latents.video[:4])


def test_a_model_of_another_class_is_refused(run_copy, make_config):
    shutil.rmtree(run_copy / "model" / "audio_vae")
    shutil.copytree(run_copy / "model" / "audio_dit", run_copy / "model" / "audio_vae")
    with pytest.raises(CheckpointError, match="must hold a DAC"):
        LatentsStage(make_config("tiny_latents", run_copy / "model"), run_copy / "latents")
