"""Clips made while a model trains, through the pipeline that `mova generate` uses: to be seen, heard and scored."""

from __future__ import annotations

import gc
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from mova.codecs.prompt import load_tokenizer
from mova.data.sources.base import ClipSource
from mova.data.sources.toy import ToySource
from mova.diffusion.schedule import PairedFlowMatchScheduler
from mova.distributed.mesh import ALONE, Parallel
from mova.errors import ConfigError, NumericalError
from mova.media.write import write_clip
from mova.names import ENCODERS, OPTIONAL_COMPONENTS, Expert, published_class
from mova.offload.placement import Placement
from mova.pipeline.inputs.media import GivenMedia, GivenNoise
from mova.pipeline.loop.parallel import Prepared, Spread
from mova.pipeline.loop.sampling import Course, sample
from mova.pipeline.loop.velocity import JointModel, TextConditions
from mova.pipeline.output import CallCount, MovaPipelineOutput
from mova.pipeline.pipeline import MovaPipeline
from mova.pipeline.run_plan import RunPlan, Start
from mova.plan.memory import MemoryPlan
from mova.settings.sampling import GivenSettings, SamplingSettings
from mova.toyworld.score import ClipScore, count_events, score_clip
from mova.train.config.joint import ValidationConfig
from mova.types import LatentPair
from mova.weights.components import load_component

logger = logging.getLogger(__name__)
# Each network visits the device for its phase; what it takes there is planned with the training.
_VISITING = MemoryPlan("validation", "phases", weights_bytes=0, activations_bytes=0, phase="encoding")


@dataclass(frozen=True)
class SampleSettings:
    """What clips are made with.

    Attributes:
        validation: how many, and how.
        video_shift, audio_shift, boundary_ratio: schedule shifts and expert boundary of the training.
        encoders: model with the autoencoders and the text encoder.
    """

    validation: ValidationConfig
    video_shift: float
    audio_shift: float
    boundary_ratio: float
    encoders: Path


@dataclass(frozen=True, eq=False)
class _Made:
    """What the loop made of a clip, on every process."""

    plan: RunPlan
    text: TextConditions
    start: Start
    latents: LatentPair


class ClipSampler:
    """Makes the same few clips of the validation split at every call, from the weights that are in the towers then.

    Rank 0 reads, encodes, decodes and writes; its autoencoders and its text encoder are loaded for a call,
    are offloaded to the host while they have nothing to do, and are let go after it. In between every process does the
    same steps on its part of the weights and tokens, in the sampling loop of every pipeline.

    Args:
        settings: how.
        source: validation clips: captions, first frames, and for the toy world what must happen.
        components: towers and bridge that train.
        models: their joint forward with each expert.
        device: that they are on.
        parallel: this process among the others.

    Raises:
        ConfigError: a step cache with several processes.
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
        step_cache = settings.validation.step_cache
        if step_cache and parallel.world_size > 1:
            raise ConfigError(
                f"validation.step_cache is for one process, got {step_cache} with {parallel.world_size}; nearest is 0, "
                "which is off"
            )

    def sample(self, step: int, folder: Path, check: Callable[[], object] = lambda: None) -> dict[str, float]:
        """Write `folder/step_NNNNNNNN/*.mp4` and `scores.json` beside them; all processes must call this.

        Args:
            step: optimiser steps done.
            folder: where the clips of all validations go.
            check: called after every step of a sampler; what it raises ends the call.

        Returns:
            Shares of toy events that are seen and heard together; nothing for other clips. A model that makes no finite
            numbers, or does not fit beside the encoders, is reported in `scores.json` and ends nothing. (One of several
            processes that has no room for a step, where the others have, ends the run: they wait for it in vain.)
        """
        target = folder / f"step_{step:08d}"
        scores: list[ClipScore] = []
        calls: list[CallCount] = []
        problem = ""
        try:
            self._write_clips(target, scores, calls, check)
        except (NumericalError, torch.cuda.OutOfMemoryError) as error:
            problem = f"{type(error).__name__}: {error}"
        # The encoders are gone with the pipeline.
        gc.collect()
        return self.parallel.broadcast(lambda: _record(step, target, scores, calls, problem))

    def _write_clips(
        self, target: Path, scores: list[ClipScore], calls: list[CallCount], check: Callable[[], object]
    ) -> None:
        on_main: list[_Codecs] = []
        self.parallel.broadcast(lambda: on_main.append(self._codecs()))
        for index in range(min(self.settings.validation.clips, len(self.source.entries))):
            plan = self.parallel.broadcast(partial(self._plan, on_main, index))
            text, start = Spread(self.parallel).prepare(partial(self._prepare, on_main, index, plan), self.device)
            latents, count = self._denoise(plan, text, start, check)
            calls.append(count)
            made = _Made(plan, text, start, latents)
            self.parallel.broadcast(partial(self._finish, on_main, index, made, target, scores))

    def _codecs(self) -> _Codecs:
        settings = self.settings
        encoders = {
            name: load_component(settings.encoders / name, expected_class=published_class(name)) for name in ENCODERS
        }
        parts: dict[str, Any] = {**dict.fromkeys(OPTIONAL_COMPONENTS), **self.components, **encoders}
        pipeline: _Codecs = _Codecs(
            **parts,
            tokenizer=load_tokenizer(settings.encoders / "tokenizer"),
            scheduler=PairedFlowMatchScheduler(
                shift=settings.video_shift, sigma_min=0.0, sigma_max=1.0, extra_one_step=True
            ),
            boundary_ratio=settings.boundary_ratio,
        )
        pipeline.offload(Placement(encoders, self.device, _VISITING, torch.float32))
        return pipeline

    def _plan(self, on_main: Sequence[_Codecs], index: int) -> RunPlan:
        """Settle what a clip is made with."""
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
            step_cache=chosen.step_cache,
            video_shift=self.settings.video_shift,
            audio_shift=self.settings.audio_shift,
        )
        settings = SamplingSettings.for_model(pipeline.defaults, pipeline.codec_geometry, asked)
        return pipeline.check_inputs(settings, GivenMedia(), GivenNoise(seed=index), entry.caption, None, 1, "np")

    def _prepare(self, on_main: Sequence[_Codecs], index: int, plan: RunPlan) -> Prepared:
        """Read and encode what a clip is made from."""
        (pipeline,) = on_main
        text = pipeline.encode_prompt(plan, self.source.entries[index].caption)
        given = GivenMedia(image=self.source.load(index).frames[0])
        return text, pipeline.prepare_latents(plan, given, GivenNoise(seed=index))

    def _denoise(
        self, plan: RunPlan, text: TextConditions, start: Start, check: Callable[[], object]
    ) -> tuple[LatentPair, CallCount]:
        """Follow the schedule; every process gets all latents."""

        def after_step(_done: int, _total: int, _latents: LatentPair) -> None:
            check()

        return sample(self.models, Course.of(plan), text, start.latents, start.condition, on_step=after_step)

    def _finish(
        self,
        on_main: Sequence[_Codecs],
        index: int,
        made: _Made,
        target: Path,
        scores: list[ClipScore],
    ) -> None:
        """Decode, write and score a clip."""
        (pipeline,), geometry = on_main, made.plan.geometry
        frames, audio = pipeline.decode(made.plan, made.latents, made.start)
        output: Any = MovaPipelineOutput(
            frames=frames,
            audio=audio,
            sample_rate=geometry.codec.sample_rate,
            frame_rate=geometry.frame_rate,
            seeds=made.start.seeds,
            cut_prompts=made.text.cut,
        )
        clip = output.clip()
        target.mkdir(parents=True, exist_ok=True)
        write_clip(target / f"{index:02d}.mp4", clip, metadata={"prompt": self.source.entries[index].caption})
        if isinstance(self.source, ToySource):
            first = self.source.load(index).frames[0]
            scores.append(score_clip(self.source.scene(index), clip, first_frame=first))


class _Codecs(MovaPipeline):
    """The ends of the pipeline, encoding and decoding, beside towers that stay where the training has them."""

    # Its own, of the encoders alone: other pipelines with these towers have nothing to do with it.
    placement: Placement | None = None  # type: ignore[assignment]

    def offload(self, placement: Placement) -> None:
        """Bring each encoder to the device for its phase only."""
        self.placement = placement


def _record(
    step: int, target: Path, scores: Sequence[ClipScore], calls: Sequence[CallCount], problem: str
) -> dict[str, float]:
    """Leave the figures beside the clips, and return them."""
    if problem:
        logger.warning("no validation clips at step %d: %s", step, problem)
    figures = together(scores)
    record = {
        "step": step,
        "figures": figures,
        "problem": problem,
        "calls": [asdict(count) for count in calls],
        "clips": [one.to_dict() for one in scores],
    }
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
