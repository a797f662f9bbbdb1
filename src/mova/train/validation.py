"""Clips made while a model trains, through the pipeline that `mova generate` uses: to be seen, heard and scored."""

from __future__ import annotations

import gc
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from mova.codecs.prompt import load_tokenizer
from mova.diffusion.schedule import PairedFlowMatchScheduler
from mova.errors import NumericalError
from mova.generate.pipeline import MovaPipeline
from mova.media.write import write_clip
from mova.models.convert import load_component
from mova.toyworld.score import ClipScore, score_clip
from mova.train.config.joint import ValidationConfig
from mova.train.sources.base import ClipSource
from mova.train.sources.toy import ToySource
from mova.types import Clip

logger = logging.getLogger(__name__)
_CODECS = {"video_vae": "AutoencoderKLWan", "audio_vae": "DAC", "text_encoder": "UMT5EncoderModel"}


@dataclass(frozen=True)
class SampleSettings:
    """What clips are made with.

    Attributes:
        validation: how many, and how.
        video_shift, audio_shift, boundary_ratio: of the training.
        encoders: model with the autoencoders and the text encoder.
    """

    validation: ValidationConfig
    video_shift: float
    audio_shift: float
    boundary_ratio: float
    encoders: Path


class ClipSampler:
    """Makes the same few clips of the validation split at every call, from the weights that are in the towers then.

    The autoencoders and the text encoder are loaded for a call and let go after it.

    Args:
        settings: how.
        source: validation clips: captions, first frames, and for the toy world what must happen.
        components: towers and bridge that train.
        device: that they are on.
    """

    def __init__(
        self, settings: SampleSettings, source: ClipSource, components: Mapping[str, nn.Module], device: torch.device
    ) -> None:
        self.settings, self.source, self.components, self.device = settings, source, components, device

    def sample(self, step: int, folder: Path) -> dict[str, float]:
        """Write `folder/step_NNNNNNNN/*.mp4` and `scores.json` beside them.

        Returns:
            Shares of toy events that are seen and heard together; nothing for other clips. A model that makes no finite
            numbers, or does not fit beside the encoders, is reported in `scores.json` and ends nothing.
        """
        target = folder / f"step_{step:08d}"
        target.mkdir(parents=True, exist_ok=True)
        scores: list[ClipScore] = []
        problem = ""
        try:
            self._write_clips(target, scores)
        except (NumericalError, torch.cuda.OutOfMemoryError) as error:
            problem = f"{type(error).__name__}: {error}"
            logger.warning("no validation clips at step %d: %s", step, problem)
        # The encoders are gone with the pipeline.
        gc.collect()
        figures = together(scores)
        record = {"step": step, "figures": figures, "problem": problem, "clips": [one.to_dict() for one in scores]}
        (target / "scores.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
        return figures

    def _write_clips(self, target: Path, scores: list[ClipScore]) -> None:
        pipeline = self._pipeline()
        for index in range(min(self.settings.validation.clips, len(self.source.entries))):
            first = self.source.load(index).frames[0]
            clip = self._make(pipeline, index, first)
            write_clip(target / f"{index:02d}.mp4", clip, metadata={"prompt": self.source.entries[index].caption})
            if isinstance(self.source, ToySource):
                scores.append(score_clip(self.source.scene(index), clip, first_frame=first))

    def _pipeline(self) -> MovaPipeline:
        settings = self.settings
        codecs: dict[str, Any] = {
            name: load_component(settings.encoders / name, expected_class=expected, device=self.device).float()
            for name, expected in _CODECS.items()
        }
        towers: dict[str, Any] = {"video_dit_2": None} | dict(self.components)
        pipeline: MovaPipeline = MovaPipeline(
            **codecs,
            **towers,
            tokenizer=load_tokenizer(settings.encoders / "tokenizer"),
            scheduler=PairedFlowMatchScheduler(
                shift=settings.video_shift, sigma_min=0.0, sigma_max=1.0, extra_one_step=True
            ),
            boundary_ratio=settings.boundary_ratio,
        )
        pipeline.set_progress_bar_config(disable=True)
        return pipeline

    def _make(self, pipeline: MovaPipeline, index: int, first: np.ndarray) -> Clip:
        chosen, entry = self.settings.validation, self.source.entries[index]
        height, width = self.source.sizes[entry.bucket]
        result = pipeline(
            entry.caption,
            image=first,
            height=height,
            width=width,
            num_frames=self.source.num_frames,
            frame_rate=self.source.frame_rate,
            num_inference_steps=chosen.num_inference_steps,
            guidance_scale=chosen.guidance_scale,
            modality_scale=chosen.modality_scale,
            video_shift=self.settings.video_shift,
            audio_shift=self.settings.audio_shift,
            seed=index,
            output_type="np",
        )
        return cast("Clip", cast("Any", result).clip())


def together(scores: Sequence[ClipScore]) -> dict[str, float]:
    """Return the share of visible events with a sound and of sounds with a visible event, and their distance in ms.

    A clip without any event counts as one that is missed, so that empty clips never improve the shares.
    """
    if not scores:
        return {}
    matched = sum(len(score.offsets_ms) for score in scores)
    offsets = [abs(offset) for score in scores for offset in score.offsets_ms]
    return {
        "clips_recall": matched / sum(max(len(score.seen_s), 1) for score in scores),
        "clips_precision": matched / sum(max(len(score.heard_s), 1) for score in scores),
        # Without any pair the distance is that of the tolerance.
        "clips_offset_ms": float(np.median(offsets)) if offsets else 1000 * scores[0].tolerance_s,
    }
