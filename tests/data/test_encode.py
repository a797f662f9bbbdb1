"""Encoding clips against encoding them directly."""

from shutil import copytree

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from mova.codecs.audio import encode_audio
from mova.codecs.prompt import encode_prompts
from mova.codecs.video import encode_video, frames_to_tensor
from mova.conditioning.frames import frame_condition
from mova.data.encode import (
    CLIP_PARTS,
    LAST_FRAME_EVERY,
    ClipEncoder,
    Encoding,
    TextEncoder,
    fingerprint,
    sample_rate_of,
)
from mova.data.sources.base import RawClip, fraction
from mova.errors import CheckpointError
from mova.geometry import ClipGeometry, CodecGeometry
from mova.toyworld import render, sample_scene
from mova.weights.locate import find_model

CPU = torch.device("cpu")
MODEL = find_model("mova-tiny")
# Latents are kept in float16.
TOLERANCE = {"atol": 5e-3, "rtol": 2e-3}


@pytest.fixture(scope="module")
def encoder():
    return ClipEncoder(Encoding(MODEL, CPU))


def raw(seed, own_frames=17, own_samples=None):
    clip = render(sample_scene(seed), size=32, num_frames=17).clip
    whole = ((0, clip.waveform.shape[1]),)
    return RawClip(clip.frames, clip.waveform, own_frames, whole if own_samples is None else own_samples)


KEYS = [f"clip {index}" for index in range(40)]
WITH_LAST = next(key for key in KEYS if fraction(key, "last") < 1 / LAST_FRAME_EVERY)
FIRST_ONLY = next(key for key in KEYS if fraction(key, "last") >= 1 / LAST_FRAME_EVERY)


@pytest.mark.parametrize("key", [WITH_LAST, FIRST_ONLY])
@torch.no_grad()
def test_latents_are_those_of_the_codecs(encoder, key):
    clip = raw(3)
    made = encoder.encode([raw(4), clip], ["other", key])[1]
    frames = frames_to_tensor(clip.frames)
    torch.testing.assert_close(made.video.float(), encode_video(encoder.video_vae, frames)[0], **TOLERANCE)
    audio = encode_audio(encoder.audio_vae, torch.from_numpy(clip.waveform)[None])[0]
    torch.testing.assert_close(made.audio.float(), audio, **TOLERANCE)
    known = {0: frames[:, :, 0]} | ({-1: frames[:, :, -1]} if key == WITH_LAST else {})
    geometry = ClipGeometry(32, 32, 17, 24.0, CodecGeometry(spatial_stride=8, temporal_stride=4, video_channels=16))
    condition = frame_condition(encoder.video_vae, known, geometry)[0]
    torch.testing.assert_close(made.condition.float(), condition[4:], **TOLERANCE)
    assert torch.equal(made.mask.float(), condition[:4, :, 0, 0])
    assert made.video_counted.tolist() == [1.0] * 5
    assert made.audio_counted.tolist() == [1.0] * made.audio.shape[1]


def test_bfloat16_changes_latents_by_far_less_than_the_noise_that_decoders_bear(encoder):
    clips, keys = [raw(3), raw(4)], [FIRST_ONLY, WITH_LAST]
    exact = encoder.encode(clips, keys)
    rounded = ClipEncoder(Encoding(MODEL, CPU, "bfloat16")).encode(clips, keys)
    for one, other in zip(exact, rounded, strict=True):
        for name in ("video", "condition"):
            off = getattr(one, name).float() - getattr(other, name).float()
            assert 0 < off.square().mean().sqrt() < 0.02


def test_one_clip_in_so_many_is_conditioned_on_its_last_frame():
    share = np.mean([fraction(f"clip {index}", "last") < 1 / LAST_FRAME_EVERY for index in range(4000)])
    assert share == pytest.approx(1 / LAST_FRAME_EVERY, abs=0.02)


def test_what_a_clip_has_not_does_not_count(encoder):
    short, silent, unseen = encoder.encode(
        [raw(1, 10, ((330, 5000), (6400, 7040))), raw(1, 17, ()), raw(1, 0)], [WITH_LAST, FIRST_ONLY, WITH_LAST]
    )
    # Ten frames fill the first latent frame and two of four.
    assert short.video_counted.tolist() == [1, 1, 1, 0, 0]
    # Latents of 320 samples, all of which must be the clip's own.
    assert short.audio_counted.nonzero()[:, 0].tolist() == [*range(2, 15), 20, 21]
    # The last frame of a clip that ends early is not its own.
    assert short.mask[:, -1].sum() == 0
    assert not silent.audio_counted.any()
    assert not silent.audio.any()
    assert silent.video_counted.all()
    assert not unseen.video_counted.any()
    assert not unseen.video.any()
    assert not unseen.mask.any()
    assert not unseen.condition.any()


def test_a_clip_and_its_condition_are_the_bytes_of_two_encodes_of_which_the_first_frame_is_made_once(encoder):
    """Clips without a frame of their own and those that fill up a batch do not hinder it."""
    clips, keys = [raw(3), raw(4), raw(5, 0), raw(6, 9)], [FIRST_ONLY, WITH_LAST, FIRST_ONLY, WITH_LAST]

    def encode():
        lengths = []
        first = encoder.video_vae.encoder.conv_in
        handle = first.register_forward_pre_hook(lambda _, given: lengths.append(given[0].shape[2]))
        try:
            return [*encoder.encode(clips, keys), *encoder.encode(clips[:3], keys[:3], 4)], lengths
        finally:
            handle.remove()

    found, together = encode()
    # A hook on the whole encoder wants to see every call.
    handle = encoder.video_vae.encoder.register_forward_hook(lambda *_: None)
    try:
        expected, apart = encode()
    finally:
        handle.remove()
    assert (apart.count(1), together.count(1)) == (4, 2)
    for one, other in zip(found, expected, strict=True):
        for name, tensor in vars(one).items():
            assert tensor.numpy().tobytes() == getattr(other, name).numpy().tobytes(), name


def test_texts_are_embedded_as_for_generating():
    encoder = TextEncoder(MODEL, CPU)
    texts = ["A red ball falls.", ""]
    for mine, theirs in zip(
        encoder.encode(texts), encode_prompts(encoder.tokenizer, encoder.model, texts).embeds, strict=True
    ):
        torch.testing.assert_close(mine.float(), theirs, **TOLERANCE)


def test_fingerprints_follow_from_the_files(tmp_path):
    assert fingerprint(MODEL, CLIP_PARTS) == fingerprint(MODEL, CLIP_PARTS)
    assert fingerprint(MODEL, CLIP_PARTS) != fingerprint(MODEL, ("video_vae",))
    assert fingerprint(tmp_path, CLIP_PARTS) is None
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "weights").write_bytes(b"one")
    first = fingerprint(tmp_path, ("part",))
    (tmp_path / "part" / "weights").write_bytes(b"two")
    second = fingerprint(tmp_path, ("part",))
    assert second != first
    # What macOS leaves on foreign disks.
    (tmp_path / "part" / "._weights").write_bytes(b"three")
    assert fingerprint(tmp_path, ("part",)) == second


@pytest.mark.parametrize("part", CLIP_PARTS)
def test_another_decoder_leaves_what_was_encoded_true(tmp_path, part):
    copytree(MODEL / part, tmp_path / part)
    file = tmp_path / part / "diffusion_pytorch_model.safetensors"
    seen = []
    for changed in (None, "decoder.", "post_quant_conv.", "encoder.", "quant_conv."):
        weights = load_file(MODEL / part / file.name)
        for name in weights:
            if changed and name.startswith(changed):
                weights[name] += 1
        save_file(weights, file)
        seen.append(fingerprint(tmp_path, (part,)))
    untouched, decoder, after, encoder, before = seen
    assert untouched == decoder == after
    assert len({untouched, encoder, before}) == 3


def test_a_damaged_file_is_another_one(tmp_path):
    (tmp_path / "part").mkdir()
    file = tmp_path / "part" / "weights.safetensors"
    prints = set()
    for content in (b"cut short", b"cut"):
        file.write_bytes(content)
        prints.add(fingerprint(tmp_path, ("part",)))
    assert len(prints) == 2


def test_the_rate_of_the_sound_is_the_autoencoders(tmp_path):
    assert sample_rate_of(MODEL) == 16_000
    with pytest.raises(CheckpointError, match="config"):
        sample_rate_of(tmp_path)
