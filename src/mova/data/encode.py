"""From clips and captions to what the towers learn from: the frozen autoencoders and the text encoder at work."""

from __future__ import annotations

import contextlib
import hashlib
import math
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
from mova.codecs.video_beginnings import Beginning
from mova.conditioning.frames import KnownFrames, known_frames, known_images
from mova.data.cache import checksum
from mova.data.known import FrameTask, task_frames
from mova.data.sources.base import RawClip, fraction
from mova.device import Compute, Resolved, autocast, resolve_compute
from mova.errors import CheckpointError
from mova.geometry import ClipGeometry, CodecGeometry
from mova.names import AUTOENCODERS, TEXT_ENCODER, published_class
from mova.weights.components import load_component, read_config
from mova.weights.files import open_weights
from mova.weights.locate import bears_bfloat16, read_defaults

if TYPE_CHECKING:
    from diffusers import AutoencoderKLWan
    from transformers import PreTrainedTokenizerBase, UMT5EncoderModel

    from mova.models.audio_vae import AudioAutoencoder

CLIP_PARTS = AUTOENCODERS
TEXT_PARTS = (TEXT_ENCODER, "tokenizer")
# One clip in this many is conditioned on its last frame as well as its first.
LAST_FRAME_EVERY = 8
_BLOCK = 2**20
# Clips that are encoded together: on two cores those of mova-tiny take 0.4 of the time of one by one, and more than
# four together no less. Large ones fill a device on their own.
_CPU_PIXELS, _MOST_ON_CPU = 2**22, 4
_GPU_PIXELS, _MOST_ON_GPU = 2**26, 8
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
class PlacedClips:
    """Clips of one size on the device that encodes.

    Attributes:
        frames: (N, F, H, W, 3) uint8, N at least B.
        samples: (N, 1, S) float32.
        own: of each of the B clips, what of it is its own, as in `RawClip`.
        ready: when they are there; None where they are already.
    """

    frames: torch.Tensor
    samples: torch.Tensor
    own: Sequence[tuple[int, tuple[tuple[int, int], ...]]]
    ready: torch.cuda.Event | None


@dataclass(frozen=True)
class Encoding:
    """By what clips are encoded.

    Attributes:
        model: directory of the encoders.
        device: device that computes.
        compute: what the video autoencoder's products are computed in; all else is float32.
    """

    model: Path
    device: torch.device
    compute: Compute = "auto"

    def resolve(self) -> Resolved:
        """Return `compute` by name.

        Raises:
            ConfigError: the environment names a precision that there is not.
            CheckpointError: what the model recommends cannot be read.
        """
        holds = bears_bfloat16(self.model, read_defaults(self.model), is_quantized=False)
        return resolve_compute(self.device, self.compute, holds=holds)


class ClipEncoder:
    """The autoencoders of a model.

    Args:
        encoding: a model with `video_vae` and `audio_vae`, and how they compute.

    Attributes:
        precision: what the video autoencoder's products are computed in.

    Raises:
        CheckpointError: a component is missing or damaged.
    """

    def __init__(self, encoding: Encoding) -> None:
        self.device, self.precision = encoding.device, encoding.resolve()
        video, audio = (
            # Published in half precision; pixels and samples are float32.
            load_component(encoding.model / name, expected_class=published_class(name), device=self.device).float()
            for name in AUTOENCODERS
        )
        self._copies = torch.cuda.Stream(self.device) if self.device.type == "cuda" else None
        self.video_vae = cast("AutoencoderKLWan", video)
        self.audio_vae = cast("AudioAutoencoder", audio)

    def at_once(self, size: tuple[int, int], num_frames: int) -> int:
        """Return how many clips of (height, width) are best encoded together: one where they are large."""
        is_cpu = self.device.type == "cpu"
        limit, most = (_CPU_PIXELS, _MOST_ON_CPU) if is_cpu else (_GPU_PIXELS, _MOST_ON_GPU)
        return max(1, min(most, limit // (size[0] * size[1] * num_frames)))

    def place(self, clips: Sequence[RawClip], at_once: int = 0) -> PlacedClips:
        """Bring clips of one size to the device, in one copy; another thread than the one that encodes may do it.

        Args:
            clips: B clips.
            at_once: how many clips are encoded together at least: what is missing of them is zeros. What a clip gives
                depends on this number in its last bits, and not on its place or on the clips beside it.
        """
        count = max(len(clips), at_once)
        frames, waveform = clips[0].frames, clips[0].waveform
        begin = -(-count * frames.nbytes // 16) * 16
        is_gpu = self.device.type == "cuda"
        held = torch.empty(begin + count * 4 * waveform.size, dtype=torch.uint8, pin_memory=is_gpu)
        pixels, samples = _parts(held, begin, count, frames.shape, waveform.shape)
        for row, clip in enumerate(clips):
            pixels[row].copy_(_as_tensor(clip.frames))
            samples[row].copy_(_as_tensor(clip.waveform))
        pixels[len(clips) :], samples[len(clips) :] = 0, 0
        own = [(clip.own_frames, clip.own_samples) for clip in clips]
        if not is_gpu:
            return PlacedClips(pixels.to(self.device), samples.to(self.device), own, None)
        with torch.cuda.stream(self._copies):
            held = held.to(self.device, non_blocking=True)
            ready = torch.cuda.Event()
            ready.record()
        return PlacedClips(*_parts(held, begin, count, frames.shape, waveform.shape), own, ready)

    def encode(self, clips: Sequence[RawClip], contents: Sequence[str], at_once: int = 0) -> list[ClipTensors]:
        """Encode clips of one size.

        Args:
            clips: B clips.
            contents: hashes of the entries; they decide which clips are conditioned on their last frame as well.
            at_once: as in `place`.
        """
        return self.encode_placed(self.place(clips, at_once), contents)

    @torch.no_grad()
    def encode_placed(
        self, clips: PlacedClips, contents: Sequence[str], beginning: Beginning | None = None
    ) -> list[ClipTensors]:
        """Encode clips that are on the device; see `encode`. A `beginning` is for what is encoded of them besides."""
        frames, count = self._frames(clips), len(clips.own)
        known = torch.zeros(frames.shape[0], frames.shape[2], dtype=torch.bool)
        known[:count, 0] = torch.tensor([own_frames > 0 for own_frames, _ in clips.own])
        known[:count, -1] = torch.tensor(
            [
                own_frames == frames.shape[2] and fraction(content, "last") < 1 / LAST_FRAME_EVERY
                for (own_frames, _), content in zip(clips.own, contents, strict=True)
            ]
        )
        beginning = Beginning() if beginning is None else beginning
        with autocast(self.device, self.precision):
            video = encode_video(self.video_vae, frames, beginning=beginning)
            condition = known_frames(self.video_vae, frames, known, beginning=beginning)
        audio = encode_audio(self.audio_vae, clips.samples)
        return self._on_host(
            clips, _half(video), KnownFrames(_half(condition.mask), _half(condition.latents)), _half(audio)
        )

    @torch.no_grad()
    def encode_known(
        self, clips: PlacedClips, contents: Sequence[str], tasks: Sequence[FrameTask], beginning: Beginning
    ) -> list[dict[FrameTask, dict[str, torch.Tensor]]]:
        """Encode what is known of clips on the device for other tasks than the ordinary one.

        Args:
            clips: B clips.
            contents: hashes of the entries; which frames are known follows from them.
            tasks: what is asked for.
            beginning: with which the clips themselves were encoded, or an empty one.

        Returns:
            Of each clip `condition` (C, T, h, w) and `mask` (4, T), float16 on the CPU, by task.
        """
        frames, stride = self._frames(clips), int(self.video_vae.config.scale_factor_temporal)
        made: list[dict[FrameTask, dict[str, torch.Tensor]]] = [{} for _ in clips.own]
        for task in tasks:
            known = torch.zeros(frames.shape[0], frames.shape[2], dtype=torch.bool)
            for row, ((own_frames, _), content) in enumerate(zip(clips.own, contents, strict=True)):
                known[row] = task_frames(task, frames.shape[2], own_frames, stride, content)
            with autocast(self.device, self.precision):
                condition = known_frames(self.video_vae, frames, known, beginning=beginning)
            latents, mask = _half(condition.latents), _half(condition.mask)
            for row, tensors in enumerate(made):
                tensors[task] = {"condition": latents[row].clone(), "mask": mask[row].clone()}
        return made

    def _frames(self, clips: PlacedClips) -> torch.Tensor:
        """Return (N, 3, F, H, W) float32 in [-1, 1], grey where a clip has no video."""
        if clips.ready is not None:
            stream = torch.cuda.current_stream(self.device)
            stream.wait_event(clips.ready)
            # The allocator would give the memory away while this stream still reads it.
            clips.frames.record_stream(stream)
        frames = to_unit(clips.frames)
        # Nobody looks at what these give: grey, they begin as their conditions do.
        for row in range(frames.shape[0]):
            if row >= len(clips.own) or not clips.own[row][0]:
                frames[row] = 0.0
        return frames

    def _on_host(
        self, clips: PlacedClips, video: torch.Tensor, condition: KnownFrames, audio: torch.Tensor
    ) -> list[ClipTensors]:
        stride = int(self.video_vae.config.scale_factor_temporal)
        length = clips.samples.shape[-1]
        # Copies of their own: a view would keep, and write, the whole batch.
        return [
            ClipTensors(
                video=video[row].clone() if own_frames else torch.zeros_like(video[row]),
                condition=condition.latents[row].clone(),
                mask=condition.mask[row].clone(),
                audio=audio[row].clone() if own_samples else torch.zeros_like(audio[row]),
                video_counted=_counted(video.shape[2], 1 + (own_frames - 1) // stride if own_frames else 0),
                audio_counted=_own_steps(own_samples, length, audio.shape[2], self.audio_vae.hop_length),
            )
            for row, (own_frames, own_samples) in enumerate(clips.own)
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
    # Rounded where it is: half as much goes to the host. A copy of its own: a view would keep, and write, the batch.
    return tensor.to(torch.float16, copy=True).contiguous().cpu()


def _as_tensor(array: np.ndarray) -> torch.Tensor:
    # torch warns of arrays that cannot be written to, which it only reads here.
    return torch.from_numpy(array if array.flags.writeable else array.copy())


def _parts(
    held: torch.Tensor, begin: int, count: int, frames: tuple[int, ...], waveform: tuple[int, ...]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return pixels (count, *frames) uint8 and samples (count, *waveform) float32 that bytes hold."""
    pixels = held[: count * math.prod(frames)].view(count, *frames)
    return pixels, held[begin:].view(torch.float32).view(count, *waveform)


def _own_steps(own_samples: Sequence[tuple[int, int]], num_samples: int, length: int, hop: int) -> torch.Tensor:
    """Return (A,) 1 for each audio latent whose samples, as far as there are any, are all the clip's own."""
    first = torch.arange(length) * hop
    end = (first + hop).clamp(max=num_samples)
    counted = torch.zeros(length, dtype=torch.bool)
    for own_first, own_end in own_samples:
        counted |= (own_first <= first) & (end <= own_end)
    return counted.to(torch.float16)


def _counted(length: int, own: int) -> torch.Tensor:
    return (torch.arange(length) < own).to(torch.float16)
