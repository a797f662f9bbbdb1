"""Encode every clip once, so that the towers train without encoders in memory.

Blocks of clips are rendered, encoded and written one after the other; a finished block is never made again. The
rendered frames of a block are removed when its latents are on disk.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from mova.codecs.audio import encode_audio, pad_to_hop
from mova.codecs.conditioning import condition_from_frames, fold_mask, frame_condition
from mova.codecs.prompt import encode_prompts, load_tokenizer
from mova.codecs.video import encode_video
from mova.errors import CheckpointError
from mova.geometry import ClipGeometry, CodecGeometry
from mova.models.convert import load_component
from mova.train.config import LatentsConfig
from mova.train.data import FRAME_RATE, ClipRenderer, Split, ToyClips
from mova.train.stages.clip_pool import to_unit
from mova.train.trainer import Progress, choose_device

if TYPE_CHECKING:
    from diffusers import AutoencoderKLWan
    from transformers import UMT5EncoderModel

    from mova.models.audio_vae import AudioAutoencoder

logger = logging.getLogger(__name__)

BLOCK = 1024
# One clip in this many is conditioned on its last frame as well as its first.
LAST_FRAME_EVERY = 8


@dataclass(frozen=True)
class LatentSet:
    """Encoded clips, ready for the towers.

    Attributes:
        video: (N, C, T, h, w) normalised.
        condition: (N, C, T, h, w) normalised latents of the known frames.
        mask: (N, 4, T) of the known frames.
        audio: (N, C, A).
        prompts: (N, P, D).
        null_prompt: (P, D) of the empty text.
        white_condition: (C, T, h, w), the condition of a plain white first frame.
    """

    video: torch.Tensor
    condition: torch.Tensor
    mask: torch.Tensor
    audio: torch.Tensor
    prompts: torch.Tensor
    null_prompt: torch.Tensor
    white_condition: torch.Tensor


class LatentsStage:
    """Fills `model/../latents` from the toy world with the encoders of the model directory.

    Args:
        config: the recipe.
        folder: for rendered blocks that wait for encoding, and the latents.
    """

    def __init__(self, config: LatentsConfig, folder: Path) -> None:
        self.config, self.folder = config, folder
        self.device = choose_device(config.device)
        self.video_vae: AutoencoderKLWan = self._component("video_vae", "AutoencoderKLWan")
        self.audio_vae = cast("AudioAutoencoder", self._component("audio_vae", "DAC"))
        self.text_encoder: UMT5EncoderModel = self._component("text_encoder", "UMT5EncoderModel")
        self.tokenizer = load_tokenizer(config.model / "tokenizer")

    @torch.no_grad()
    def run(self, on_progress: Callable[[Progress], None] | None = None) -> None:
        """Encode what is missing of both splits."""
        counts: dict[Split, int] = {"train": self.config.data.num_clips, "validation": self.config.validation_clips}
        plan = [
            (split, first, min(BLOCK, count - first))
            for split, count in counts.items()
            for first in range(0, count, BLOCK)
        ]
        missing = [block for block in plan if not _block_file(self.folder, *block[:2]).exists()]
        with ClipRenderer(self.config.data) as renderer, ThreadPoolExecutor(1) as ahead:
            # The next block renders while this one is encoded.
            jobs = [ahead.submit(renderer.prepare, self._rendered(*block), *block) for block in missing[:1]]
            for done, block in enumerate(missing, 1):
                clips = jobs.pop().result()
                if done < len(missing):
                    jobs.append(ahead.submit(renderer.prepare, self._rendered(*missing[done]), *missing[done]))
                self._write_block(_block_file(self.folder, *block[:2]), clips, first=block[1])
                shutil.rmtree(self._rendered(*block))
                if on_progress:
                    on_progress(Progress("latents", done, len(missing), 0.0, {"clips": float(block[1] + block[2])}))

    def _component(self, name: str, published_class: str) -> nn.Module:
        return load_component(self.config.model / name, expected_class=published_class, device=self.device)

    def _rendered(self, split: Split, first: int, count: int) -> Path:
        return self.folder / f"rendered_{split}_{first:07d}_{count}"

    def _write_block(self, target: Path, clips: ToyClips, first: int) -> None:
        size = self.config.batch_size
        parts: dict[str, list[torch.Tensor]] = {key: [] for key in ("video", "condition", "mask", "audio", "prompts")}
        for start in range(0, len(clips.captions), size):
            part = slice(start, start + size)
            raw = torch.from_numpy(clips.frames[part].copy()).to(self.device)
            for key, value in self._encode(raw, clips, part, first + start).items():
                parts[key].append(value.to(torch.float16).cpu())
        tensors = {key: torch.cat(values) for key, values in parts.items()}
        tensors["null_prompt"] = encode_prompts(self.tokenizer, self.text_encoder, [""]).embeds[0].half().cpu()
        size_px, length = self.config.data.size, self.config.data.num_frames
        white = frame_condition(self.video_vae, {}, ClipGeometry(size_px, size_px, length, FRAME_RATE, self._codec()))
        tensors["white_condition"] = white[0, 4:].half().cpu()
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_suffix(".partial")
        save_file(tensors, partial)
        partial.rename(target)

    def _encode(self, raw: torch.Tensor, clips: ToyClips, part: slice, first: int) -> dict[str, torch.Tensor]:
        frames = to_unit(raw)
        known = torch.zeros(len(frames), frames.shape[2], dtype=torch.bool)
        known[:, 0] = True
        known[:, -1] = torch.arange(first, first + len(frames)) % LAST_FRAME_EVERY == 0
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            video = encode_video(self.video_vae, frames)
            condition = condition_from_frames(self.video_vae, frames, known)[:, 4:]
        waveform = torch.from_numpy(clips.waveforms[part].copy()).unsqueeze(1).to(self.device)
        audio = encode_audio(self.audio_vae, pad_to_hop(waveform, self.audio_vae.hop_length))
        prompts = encode_prompts(self.tokenizer, self.text_encoder, clips.captions[part]).embeds
        mask = fold_mask(known, int(self.video_vae.config.scale_factor_temporal))
        return {"video": video, "condition": condition, "mask": mask, "audio": audio, "prompts": prompts}

    def _codec(self) -> CodecGeometry:
        vae = self.video_vae.config
        return CodecGeometry(
            spatial_stride=vae.scale_factor_spatial, temporal_stride=vae.scale_factor_temporal, video_channels=vae.z_dim
        )


def load_latents(folder: Path, split: Split, count: int, device: torch.device) -> LatentSet:
    """Read the first `count` encoded clips of a split onto a device, in bf16 on CUDA and float32 elsewhere.

    Raises:
        CheckpointError: a block is missing or short; the text names the stage that makes it.
    """
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    blocks = []
    for first in range(0, count, BLOCK):
        path = _block_file(folder, split, first)
        if not path.exists():
            raise CheckpointError(f"{path} is missing; run the stage 'latents' first, with at least {count} clips")
        blocks.append({key: value.to(device, dtype) for key, value in load_file(path).items()})
        present, wanted = len(blocks[-1]["video"]), min(BLOCK, count - first)
        if present < wanted:
            raise CheckpointError(
                f"{path} holds {present} clips and {wanted} are needed; remove it and run the stage 'latents' "
                f"with at least {count} clips of this split"
            )
    stacked = {
        key: torch.cat([block[key] for block in blocks])[:count]
        for key in ("video", "condition", "mask", "audio", "prompts")
    }
    return LatentSet(**stacked, null_prompt=blocks[0]["null_prompt"], white_condition=blocks[0]["white_condition"])


def _block_file(folder: Path, split: Split, first: int) -> Path:
    return folder / f"{split}_{first:07d}.safetensors"
