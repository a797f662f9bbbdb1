"""Clips made while a model trains, through the pipeline that `mova generate` uses: to be seen, heard and scored."""

from __future__ import annotations

import gc
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from mova.codecs.prompt import load_tokenizer
from mova.data.sources.base import ClipSource
from mova.data.sources.toy import ToySource
from mova.diffusion.denoise import denoise
from mova.diffusion.schedule import PairedFlowMatchScheduler
from mova.distributed.mesh import ALONE, Parallel
from mova.errors import NumericalError
from mova.media.write import write_clip
from mova.names import Expert
from mova.pipeline.inputs.media import GivenMedia, GivenNoise
from mova.pipeline.loop.velocity import JointModel, TextConditions, VelocityModel
from mova.pipeline.output import MovaPipelineOutput
from mova.pipeline.pipeline import MovaPipeline
from mova.pipeline.run_plan import RunPlan, Start
from mova.settings.sampling import GivenSettings, SamplingSettings
from mova.toyworld.score import ClipScore, count_events, score_clip
from mova.train.config.joint import ValidationConfig
from mova.types import LatentPair
from mova.weights.components import load_component

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


@dataclass(frozen=True, eq=False)
class _Prepared:
    """What the loop starts from, on the CPU: it may travel to other processes."""

    plan: RunPlan
    text: TextConditions
    start: Start


class ClipSampler:
    """Makes the same few clips of the validation split at every call, from the weights that are in the towers then.

    The main process reads, encodes, decodes and writes; its autoencoders and its text encoder are loaded for a call and
    let go after it. In between every process does the same steps on its part of the weights and tokens.

    Args:
        settings: how.
        source: validation clips: captions, first frames, and for the toy world what must happen.
        components: towers and bridge that train.
        models: their joint forward with each expert.
        device: that they are on.
        parallel: this process among the others.
    """

    def __init__(
        self,
        settings: SampleSettings,
        source: ClipSource,
        components: Mapping[str, nn.Module],
        models: Mapping[Expert, JointModel],
        device: torch.device,
        parallel: Parallel = ALONE,
    ) -> None:
        self.settings, self.source, self.components, self.models = settings, source, components, models
        self.device, self.parallel = device, parallel

    def sample(self, step: int, folder: Path, check: Callable[[], object] = lambda: None) -> dict[str, float]:
        """Write `folder/step_NNNNNNNN/*.mp4` and `scores.json` beside them; all processes must call this.

        Args:
            step: optimiser steps done.
            folder: of all validations.
            check: called after every step of a sampler; what it raises ends the call.

        Returns:
            Shares of toy events that are seen and heard together; nothing for other clips. A model that makes no finite
            numbers, or does not fit beside the encoders, is reported in `scores.json` and ends nothing. (One of several
            processes that has no room for a step, where the others have, ends the run: they wait for it in vain.)
        """
        target = folder / f"step_{step:08d}"
        scores: list[ClipScore] = []
        problem = ""
        try:
            self._write_clips(target, scores, check)
        except (NumericalError, torch.cuda.OutOfMemoryError) as error:
            problem = f"{type(error).__name__}: {error}"
        # The encoders are gone with the pipeline.
        gc.collect()
        return self.parallel.broadcast(lambda: _record(step, target, scores, problem))

    def _write_clips(self, target: Path, scores: list[ClipScore], check: Callable[[], object]) -> None:
        on_main: list[_Codecs] = []
        self.parallel.broadcast(lambda: on_main.append(self._codecs()))
        for index in range(min(self.settings.validation.clips, len(self.source.entries))):
            prepared = self.parallel.broadcast(partial(self._prepare, on_main, index))
            latents = self._denoise(prepared, check)
            self.parallel.broadcast(partial(self._finish, on_main, index, prepared, latents, target, scores))

    def _codecs(self) -> _Codecs:
        settings = self.settings
        codecs: dict[str, Any] = {
            name: load_component(settings.encoders / name, expected_class=expected, device=self.device).float()
            for name, expected in _CODECS.items()
        }
        towers: dict[str, Any] = {"video_dit_2": None} | dict(self.components)
        pipeline: _Codecs = _Codecs(
            **codecs,
            **towers,
            tokenizer=load_tokenizer(settings.encoders / "tokenizer"),
            scheduler=PairedFlowMatchScheduler(
                shift=settings.video_shift, sigma_min=0.0, sigma_max=1.0, extra_one_step=True
            ),
            boundary_ratio=settings.boundary_ratio,
        )
        pipeline.trained_on = self.device
        return pipeline

    def _prepare(self, on_main: Sequence[_Codecs], index: int) -> _Prepared:
        """Read and encode what a clip is made from."""
        (pipeline,), chosen, entry = on_main, self.settings.validation, self.source.entries[index]
        height, width = self.source.sizes[entry.bucket]
        asked = GivenSettings(
            height=height,
            width=width,
            num_frames=self.source.num_frames,
            frame_rate=self.source.frame_rate,
            num_inference_steps=chosen.num_inference_steps,
            guidance_scale=chosen.guidance_scale,
            modality_scale=chosen.modality_scale,
            video_shift=self.settings.video_shift,
            audio_shift=self.settings.audio_shift,
        )
        settings = SamplingSettings.for_model(pipeline.defaults, pipeline.codec_geometry, asked)
        given, noise = GivenMedia(image=self.source.load(index).frames[0]), GivenNoise(seed=index)
        plan = pipeline.check_inputs(settings, given, noise, entry.caption, None, 1, "np")
        text = pipeline.encode_prompt(plan, entry.caption)
        start = pipeline.prepare_latents(plan, given, noise)
        return _moved(_Prepared(plan, text, start), torch.device("cpu"))

    def _denoise(self, prepared: _Prepared, check: Callable[[], object]) -> LatentPair:
        """Follow the schedule; every process gets all latents."""
        here = _moved(prepared, self.device)
        model = VelocityModel(
            high_noise=self.models["high_noise"],
            low_noise=self.models["low_noise"],
            text=here.text,
            condition=here.start.condition,
            frame_rate=here.plan.geometry.frame_rate,
        )

        def after_step(_done: int, _total: int, _latents: LatentPair) -> None:
            check()

        return denoise(
            model,
            here.start.latents,
            here.plan.schedule,
            guidance=here.plan.guidance,
            sampler=here.plan.sampler,
            boundary_ratio=here.plan.boundary_ratio,
            on_step=after_step,
        )

    def _finish(
        self,
        on_main: Sequence[_Codecs],
        index: int,
        prepared: _Prepared,
        latents: LatentPair,
        target: Path,
        scores: list[ClipScore],
    ) -> None:
        """Decode, write and score a clip."""
        (pipeline,), codec = on_main, prepared.plan.geometry.codec
        frames, audio = pipeline.decode(prepared.plan, latents, prepared.start)
        made: Any = MovaPipelineOutput(
            frames=frames,
            audio=audio,
            sample_rate=codec.sample_rate,
            frame_rate=prepared.plan.geometry.frame_rate,
            seeds=prepared.start.seeds,
            cut_prompts=prepared.text.cut,
        )
        clip = made.clip()
        target.mkdir(parents=True, exist_ok=True)
        write_clip(target / f"{index:02d}.mp4", clip, metadata={"prompt": self.source.entries[index].caption})
        if isinstance(self.source, ToySource):
            first = self.source.load(index).frames[0]
            scores.append(score_clip(self.source.scene(index), clip, first_frame=first))


class _Codecs(MovaPipeline):
    """The ends of the pipeline, encoding and decoding, on the device that trains wherever the towers are now."""

    trained_on: torch.device

    @property
    def _execution_device(self) -> torch.device:
        return self.trained_on


def _moved(prepared: _Prepared, device: torch.device) -> _Prepared:
    text, start = prepared.text, prepared.start
    negative = None if text.negative is None else text.negative.to(device)
    return _Prepared(
        prepared.plan,
        replace(text, positive=text.positive.to(device), negative=negative),
        replace(
            start,
            latents=LatentPair(start.latents.video.to(device), start.latents.audio.to(device)),
            condition=start.condition.to(device),
        ),
    )


def _record(step: int, target: Path, scores: Sequence[ClipScore], problem: str) -> dict[str, float]:
    """Leave the figures beside the clips, and return them."""
    if problem:
        logger.warning("no validation clips at step %d: %s", step, problem)
    figures = together(scores)
    record = {"step": step, "figures": figures, "problem": problem, "clips": [one.to_dict() for one in scores]}
    target.mkdir(parents=True, exist_ok=True)
    (target / "scores.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
    return figures


def together(scores: Sequence[ClipScore]) -> dict[str, float]:
    """Return the share of visible events with a sound and of sounds with a visible event, and their distance in ms.

    Recall and precision are those of `mova evaluate`: a clip without any event counts as one that is missed, so that
    empty clips never improve them.
    """
    if not scores:
        return {}
    counts = [count_events(score) for score in scores]
    offsets = [abs(offset) for score in scores for offset in score.offsets_ms]
    return {
        "clips_recall": sum(one.seen_matched for one in counts) / sum(one.seen for one in counts),
        "clips_precision": sum(one.heard_matched for one in counts) / sum(one.heard for one in counts),
        # Without any pair the distance is that of the tolerance.
        "clips_offset_ms": float(np.median(offsets)) if offsets else 1000 * scores[0].tolerance_s,
    }
