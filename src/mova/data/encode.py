"""From clips and captions to what the towers learn from: the frozen autoencoders and the text encoder at work."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import torch

from mova.codecs.audio import encode_audio
from mova.codecs.prompt import encode_prompts, load_tokenizer
from mova.codecs.video import encode_video, to_unit
from mova.conditioning.frames import known_frames, known_images
from mova.data.cache import checksum
from mova.data.sources.base import RawClip, fraction
from mova.device import Compute, autocast
from mova.errors import CheckpointError
from mova.geometry import ClipGeometry, CodecGeometry
from mova.names import AUTOENCODERS, TEXT_ENCODER, published_class
from mova.weights.components import load_component, read_config
from mova.weights.files import open_weights

if TYPE_CHECKING:
    from diffusers import AutoencoderKLWan
    from transformers import PreTrainedTokenizerBase, UMT5EncoderModel

    from mova.models.audio_vae import AudioAutoencoder

CLIP_PARTS = AUTOENCODERS
TEXT_PARTS = (TEXT_ENCODER, "tokenizer")
# One clip in this many is conditioned on its last frame as well as its first.
LAST_FRAME_EVERY = 8
_BLOCK = 2**20
# What autoencoders turn latents back with, by the first part of the names of its weights.
_DECODES = ("decoder.", "post_quant_conv.")


@dataclass(frozen=True)
class ClipTensors:
    """One encoded clip, float16 on the CPU.

    Attributes:
        video, condition: (C, T, h, w) normalised.
        mask: (4, T) of the known frames.
        audio: (C, A).
        video_counted: (T,) 0 or 1, see `LatentBatch`.
        audio_counted: (A,) 0 or 1.
    """

    video: torch.Tensor
    condition: torch.Tensor
    mask: torch.Tensor
    audio: torch.Tensor
    video_counted: torch.Tensor
    audio_counted: torch.Tensor


@dataclass(frozen=True)
class Encoding:
    """By what clips are encoded.

    Attributes:
        model: directory of the encoders.
        device: device that computes.
        compute: what the video autoencoder's products are computed in, as in `RunConfig`.
    """

    model: Path
    device: torch.device
    compute: Compute = "auto"


class ClipEncoder:
    """The autoencoders of a model.

    Args:
        encoding: a model with `video_vae` and `audio_vae`, and how they compute.

    Raises:
        CheckpointError: a component is missing or damaged.
    """

    def __init__(self, encoding: Encoding) -> None:
        self.device, self.compute = encoding.device, encoding.compute
        video, audio = (
            # Published in half precision; pixels and samples are float32.
            load_component(encoding.model / name, expected_class=published_class(name), device=self.device).float()
            for name in AUTOENCODERS
        )
        self.video_vae = cast("AutoencoderKLWan", video)
        self.audio_vae = cast("AudioAutoencoder", audio)

    @torch.no_grad()
    def encode(self, clips: Sequence[RawClip], contents: Sequence[str]) -> list[ClipTensors]:
        """Encode clips of one size.

        Args:
            clips: B clips.
            contents: hashes of the entries; they decide which clips are conditioned on their last frame as well.
        """
        frames = to_unit(torch.from_numpy(np.stack([clip.frames for clip in clips])).to(self.device))
        waveforms = torch.from_numpy(np.stack([clip.waveform for clip in clips])).to(self.device)
        whole = torch.tensor([clip.own_frames == frames.shape[2] for clip in clips])
        known = torch.zeros(len(clips), frames.shape[2], dtype=torch.bool)
        known[:, 0] = torch.tensor([clip.own_frames > 0 for clip in clips])
        known[:, -1] = whole & torch.tensor([fraction(content, "last") < 1 / LAST_FRAME_EVERY for content in contents])
        with autocast(self.device, self.compute):
            video = encode_video(self.video_vae, frames)
            condition = known_frames(self.video_vae, frames, known)
        audio = encode_audio(self.audio_vae, waveforms)
        stride = int(self.video_vae.config.scale_factor_temporal)
        return [
            ClipTensors(
                video=_half(video[row] * bool(clip.own_frames)),
                condition=_half(condition.latents[row]),
                mask=_half(condition.mask[row]),
                audio=_half(audio[row] * bool(clip.own_samples)),
                video_counted=_counted(video.shape[2], 1 + (clip.own_frames - 1) // stride if clip.own_frames else 0),
                audio_counted=_own_steps(clip, audio.shape[2], self.audio_vae.hop_length),
            )
            for row, clip in enumerate(clips)
        ]

    @torch.no_grad()
    def white_condition(self, size: tuple[int, int], num_frames: int, frame_rate: float) -> torch.Tensor:
        """Return (C, T, h, w) float16, the condition of a plain white first frame of (height, width)."""
        vae = self.video_vae.config
        codec = CodecGeometry(
            spatial_stride=vae.scale_factor_spatial, temporal_stride=vae.scale_factor_temporal, video_channels=vae.z_dim
        )
        known = known_images(self.video_vae, {}, ClipGeometry(*size, num_frames, frame_rate, codec))
        return _half(known.latents[0])


class TextEncoder:
    """The text encoder of a model and its tokenizer.

    Args:
        model: directory with `text_encoder` and `tokenizer`.
        device: device that computes.
    """

    def __init__(self, model: Path, device: torch.device) -> None:
        component = load_component(model / TEXT_ENCODER, expected_class=published_class(TEXT_ENCODER), device=device)
        self.model = cast("UMT5EncoderModel", component.float())
        self.tokenizer: PreTrainedTokenizerBase = load_tokenizer(model / "tokenizer")

    def encode(self, texts: Sequence[str]) -> list[torch.Tensor]:
        """Return (P, D) float16 of each text."""
        return [_half(rows) for rows in encode_prompts(self.tokenizer, self.model, texts).embeds]


def sample_rate_of(model: Path) -> int:
    """Return the rate in Hz that a model's audio autoencoder works at, from its config."""
    return int(read_config(model / "audio_vae")["sample_rate"])


def fingerprint(model: Path, parts: Sequence[str]) -> str | None:
    """Return a SHA-256 over what some components encode with, or None where one of them is missing.

    The weights of decoders do not count: what was encoded stays true while a decoder is trained.
    """
    digest = hashlib.sha256()
    for part in parts:
        files = sorted(path for path in (model / part).glob("[!.]*") if path.is_file())
        if not files:
            return None
        for file in files:
            digest.update(f"{part}/{file.name}:".encode() + _file_digest(file, file.stat().st_mtime_ns))
    return digest.hexdigest()


@lru_cache(maxsize=256)
def _file_digest(file: Path, _changed_ns: int) -> bytes:
    digest = hashlib.sha256()
    if file.suffix == ".safetensors":
        # A damaged file is told of where it is loaded; here it is merely another one.
        with contextlib.suppress(CheckpointError), open_weights(file, device="cpu") as stored:
            for name in sorted(stored.keys):
                if not name.startswith(_DECODES):
                    digest.update(checksum({name: stored.tensor(name)}).encode())
            return digest.digest()
    with file.open("rb") as content:
        while block := content.read(_BLOCK):
            digest.update(block)
    return digest.digest()


def _half(tensor: torch.Tensor) -> torch.Tensor:
    # A copy of its own: a view would keep, and write, the whole batch.
    return tensor.to("cpu", torch.float16, copy=True).contiguous()


def _own_steps(clip: RawClip, length: int, hop: int) -> torch.Tensor:
    """Return (A,) 1 for each audio latent whose samples, as far as there are any, are all the clip's own."""
    first = torch.arange(length) * hop
    end = (first + hop).clamp(max=clip.waveform.shape[1])
    counted = torch.zeros(length, dtype=torch.bool)
    for own_first, own_end in clip.own_samples:
        counted |= (own_first <= first) & (end <= own_end)
    return counted.to(torch.float16)


def _counted(length: int, own: int) -> torch.Tensor:
    return (torch.arange(length) < own).to(torch.float16)
