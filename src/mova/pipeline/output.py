"""What the pipeline returns, in the form that the caller asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from diffusers.utils import BaseOutput
from PIL import Image

from mova.codecs.prompt import CutPrompt
from mova.codecs.video import tensor_to_frames
from mova.conditioning.spec import Snap
from mova.errors import ConfigError
from mova.files.json_file import shorten
from mova.pipeline.call_record import CallRecord
from mova.settings.seeds import whole_number
from mova.types import Clip

OutputType = Literal["pil", "np", "pt", "latent"]


@dataclass(frozen=True)
class CallCount:
    """What a run asked of the model.

    Attributes:
        predictions: that were made, one per clip, step and branch of guidance.
        repeated: how many of these took most of the video blocks from earlier steps (`step_cache`).
        planned: predictions that there would have been without `adaptive_guidance`.
    """

    predictions: int
    repeated: int
    planned: int


@dataclass
class MovaPipelineOutput(BaseOutput):
    """Clips of one call, B in all: the samples of the first prompt first.

    Attributes:
        frames: "pil": B lists of F PIL images; "np": (B, F, H, W, 3) float32 in [0, 1]; "pt": (B, F, 3, H, W) in [0,
            1]; "latent": (B, C, T, h, w) normalised. Tensors are on the pipeline's device, decoded ones on the CPU
            where the placement of the weights saves its memory. None where video is not asked for.
        audio: (B, 1, S) float32 in [-1, 1], an array or (for "pt") a tensor; "latent": (B, C, A).
            None where audio is not asked for.
        sample_rate: of `audio`, in Hz.
        frame_rate: of `frames`, in frames per second.
        seeds: (seed, sample index) of each clip: the noise that it was made from; None where the caller gave noise or a
            generator.
        cut_prompts: prompts that were longer than the model reads, with the part that had no effect.
        calls: what was asked of the model.
        record: how the clips were made, for their files.
        snaps: times of what was given that the grid of latents moved.
    """

    frames: Any
    audio: Any
    sample_rate: int
    frame_rate: float
    seeds: tuple[tuple[int, int], ...] | None = None
    cut_prompts: tuple[CutPrompt, ...] = ()
    calls: CallCount | None = None
    record: CallRecord | None = None
    snaps: tuple[Snap, ...] = ()

    def save(
        self,
        path: str | Path,
        index: int | None = None,
        *,
        metadata: Mapping[str, object] | None = None,
        crf: float = 18.0,
    ) -> tuple[Path, ...]:
        """Write clips as files that say how they were made, as the command does.

        Args:
            path: ends in .mp4; of audio alone in .m4a, .mp4 or .wav. Several clips get numbers: where `%03d` stands in
                the name, or at its end.
            index: of the one clip to write; None writes all.
            metadata: further entries of the record in the file.
            crf: quality of the video, 0 (lossless) to 51 (worst).

        Returns:
            The files, which appear only when they are complete.

        Raises:
            ConfigError: the output holds latents, or there is no such clip.
            MuxError: a file that cannot be written.
        """
        from mova.files.numbered import numbered
        from mova.media.transcode.sound_file import SOUND_SUFFIXES, write_sound
        from mova.media.write import check_writable, write_clip

        count = len(self.audio if self.frames is None else self.frames)
        chosen = range(count) if index is None else [whole_number("index", index, 0, count - 1)]
        suffixes = SOUND_SUFFIXES if self.frames is None else (".mp4",)
        clips = {number: self.sound(number) if self.frames is None else self.clip(number) for number in chosen}
        target = Path(path)
        targets = {number: target if len(clips) == 1 else numbered(target, number, count) for number in clips}
        for file in targets.values():
            check_writable(file, suffixes)
        for number, clip in clips.items():
            own = {} if self.record is None else self.record.of(number, self.seeds)
            said = own | dict(metadata or {})
            if isinstance(clip, Clip):
                write_clip(targets[number], clip, metadata=said, crf=crf, allow_silent=self.audio is None)
            else:
                write_sound(targets[number], clip, self.sample_rate, metadata=said)
        return tuple(targets.values())

    def clip(self, index: int = 0) -> Clip:
        """Return one clip as media: uint8 frames and the waveform.

        Raises:
            ConfigError: the output holds latents.
        """
        if self.frames is None:
            raise ConfigError("a clip must have video, got a result of audio alone; sound() returns it")
        frames = self.frames[index]
        if isinstance(frames, list):
            pixels = np.stack([np.asarray(frame) for frame in frames])
        elif isinstance(frames, torch.Tensor) and frames.shape[1] == 3:
            pixels = tensor_to_frames(frames.movedim(0, 1)[None].mul(2).sub(1))[0]
        elif isinstance(frames, np.ndarray):
            pixels = np.rint(frames * 255).clip(0, 255).astype(np.uint8)
        else:
            raise ConfigError("latents are not a clip; ask for output_type 'pil', 'np' or 'pt'")
        waveform = None if self.audio is None else self.sound(index)
        return Clip(pixels, waveform, self.frame_rate, self.sample_rate)

    def sound(self, index: int = 0) -> np.ndarray:
        """Return the waveform of one clip: (1, S) float32 in [-1, 1].

        Raises:
            ConfigError: the output holds latents, or video alone.
        """
        waveform = None if self.audio is None else self.audio[index]
        waveform = waveform.cpu().numpy() if isinstance(waveform, torch.Tensor) else waveform
        if waveform is None or len(waveform) != 1:
            found = "video alone" if waveform is None else "latents"
            raise ConfigError(f"audio must be a waveform, got {found}; ask for output_type 'pil', 'np' or 'pt'")
        return np.asarray(waveform)


def check_output_type(output_type: str) -> None:
    """Refuse an output type that is not one of "pil", "np", "pt", "latent"."""
    if not isinstance(output_type, str) or output_type not in get_args(OutputType):
        raise ConfigError(f"output_type must be one of {', '.join(get_args(OutputType))}; got {shorten(output_type)}")


def format_frames(frames: torch.Tensor, output_type: OutputType) -> object:
    """Turn frames (B, 3, F, H, W) in [-1, 1] into the form of `MovaPipelineOutput.frames`."""
    if output_type == "pil":
        return [[Image.fromarray(frame) for frame in clip] for clip in tensor_to_frames(frames)]
    unit = frames.movedim(1, 2).add(1).div(2).clamp(0, 1)
    return unit if output_type == "pt" else unit.movedim(2, -1).contiguous().cpu().numpy()


def format_audio(waveform: torch.Tensor, output_type: OutputType) -> object:
    """Turn a waveform (B, 1, S) into the form of `MovaPipelineOutput.audio`."""
    return waveform if output_type == "pt" else waveform.cpu().numpy()
