"""The phases of a call: texts to embeddings, media to a start, noise to latents, latents to frames and audio.

Clips of a batch go through the towers together (see `sample`), and through encoders and autoencoders one by one, which
bounds the memory by one clip; texts that clips share are read once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from mova.codecs.audio import decode_audio, encode_audio
from mova.codecs.prompt import CutPrompt, encode_prompts
from mova.codecs.video import decode_video, encode_video
from mova.conditioning.frames import frame_condition
from mova.distributed.mesh import Parallel
from mova.errors import ConfigError, NumericalError
from mova.names import Expert
from mova.offload.placement import Placement
from mova.pipeline.call_record import CallRecord
from mova.pipeline.inputs.call import CallInputs
from mova.pipeline.inputs.identity import identity_of
from mova.pipeline.inputs.media import GivenMedia, GivenNoise
from mova.pipeline.loop.control import ControlledRun
from mova.pipeline.loop.parallel import Spread
from mova.pipeline.loop.sampling import CALLBACK_INPUTS, Course, StepCallback, sample, step_callback
from mova.pipeline.loop.velocity import JointModel, TextConditions
from mova.pipeline.output import CallCount, format_audio, format_frames
from mova.pipeline.precision import name_of
from mova.pipeline.run_plan import RunPlan, Start
from mova.types import LatentPair
from mova.weights.locate import ModelDefaults

if TYPE_CHECKING:
    from diffusers import AutoencoderKLWan
    from transformers import PreTrainedTokenizerBase, UMT5EncoderModel

    from mova.models.audio_vae import AudioAutoencoder


class PhasesMixin:
    """What a pipeline does in the phases of a call, in their order."""

    defaults: ModelDefaults
    tokenizer: PreTrainedTokenizerBase
    text_encoder: UMT5EncoderModel
    video_vae: AutoencoderKLWan
    audio_vae: AudioAutoencoder
    placement: Placement | None
    _interrupt: bool = False
    _use_bridge: bool = True
    _spread: Spread
    progress_bar: Callable[..., Any]
    _reading_text: Callable[[], Any]
    _coding: Callable[[], Any]
    _denoising: Callable[[Iterable[Any], Sequence[Expert]], AbstractContextManager[Callable[[], None]]]
    _joint_models: Callable[[], Mapping[Expert, JointModel]]
    if TYPE_CHECKING:

        @property
        def parallel(self) -> Parallel: ...

        @property
        def dtype(self) -> torch.dtype: ...

        @property
        def _execution_device(self) -> torch.device: ...

    @property
    def interrupt(self) -> bool:
        """Whether the call that runs now ends before its next step; `_interrupt = True` asks for it."""
        return self._interrupt

    def disable_bridge(self) -> None:
        """Let the towers run apart in every later call: the video hears nothing, the audio sees nothing.

        Guidance stays as it is: branches are evaluated as planned, all of them without the bridge.
        """
        self._use_bridge = False

    def enable_bridge(self) -> None:
        """Let the towers meet again."""
        self._use_bridge = True

    def encode_prompt(
        self,
        plan: RunPlan,
        prompt: str | Sequence[str] | None,
        negative_prompt: str | Sequence[str] | None = None,
        prompt_embeds: torch.Tensor | None = None,
        negative_prompt_embeds: torch.Tensor | None = None,
    ) -> TextConditions:
        """Embed the texts, one row per clip; the negative one only if a branch reads it."""
        with self._reading_text():
            positive, cut = self._embed(plan, prompt, prompt_embeds, "prompt")
            negative = None
            if plan.needs_negative_text:
                negative_prompt = self.defaults.negative_prompt if negative_prompt is None else negative_prompt
                negative, also_cut = self._embed(plan, negative_prompt, negative_prompt_embeds, "negative_prompt")
                cut = (*cut, *also_cut)
        return TextConditions(positive=positive, negative=negative, cut=cut)

    def prepare_latents(self, plan: RunPlan, given: GivenMedia, noise: GivenNoise) -> Start:
        """Draw the noise, encode the known frames, and put held modalities in place of their noise."""
        geometry, device = plan.geometry, self._execution_device
        drawn, seeds = noise.draw(geometry, plan.batch_size)
        video, audio = drawn.video.to(device), drawn.audio.to(device)
        frames, waveform = given.known_video(geometry, device), given.known_audio(geometry, device)
        known = {0: frames[:, :, 0]} if frames is not None else given.known_images(geometry)
        with self._coding():
            if frames is not None:
                video = plan.expand(_one_by_one(lambda clip: encode_video(self.video_vae, clip), frames), "video")
            if waveform is not None:
                audio = plan.expand(_one_by_one(lambda clip: encode_audio(self.audio_vae, clip), waveform), "audio")
            conditions = [
                frame_condition(self.video_vae, images, geometry, null_image=plan.null_image, device=device)
                for images in _rows(known)
            ]
        return Start(
            latents=LatentPair(video=video, audio=audio),
            condition=plan.expand(torch.cat(conditions), "image"),
            given_frames=None if frames is None else plan.expand(frames, "video"),
            given_audio=None if waveform is None else plan.expand(waveform, "audio"),
            seeds=seeds,
        )

    def control_run(self, plan: RunPlan, inputs: CallInputs, record: CallRecord) -> ControlledRun | None:
        """Return the control of a run, with what tells the run from others; None where nobody wants it."""
        control = inputs.control
        if control is None:
            return None
        circumstances = {
            "precision": name_of(self.dtype),
            "device": self._execution_device.type,
            "bridge": self._use_bridge,
            "processes": self.parallel.world_size,
        }
        identity = identity_of(plan, inputs, record, circumstances) if control.needs_identity else {}
        return ControlledRun(control, identity, self.parallel)

    def denoise(
        self,
        plan: RunPlan,
        text: TextConditions,
        start: Start,
        *,
        batch_branches: bool | None = None,
        clip_by_clip: bool = False,
        on_step_end: StepCallback | None = None,
        callback_inputs: Sequence[str] = CALLBACK_INPUTS,
        controlled: ControlledRun | None = None,
    ) -> tuple[LatentPair, CallCount]:
        """Follow the schedule from noise to clean latents; also count what was asked of the model.

        Raises:
            StoppedError: the control asked for it.
        """
        models, device = self._joint_models(), start.latents.video.device
        first, total = 0 if controlled is None else controlled.first, len(plan.steps)
        experts = [step.expert for step in plan.steps[first:]]
        with (
            self._denoising(models.values(), experts) as end_step,
            self.progress_bar(total=total) as bar,
        ):
            bar.update(first)

            def on_progress() -> None:
                end_step()
                bar.update()

            made = sample(
                models,
                replace(Course.of(plan), use_bridge=self._use_bridge),
                text,
                start.latents,
                start.condition,
                batch_branches=batch_branches,
                clip_by_clip=clip_by_clip,
                placement="resident" if self.placement is None else self.placement.plan.placement,
                spread=self._spread.velocities,
                broadcast_flag=self.parallel.broadcast_flag,
                on_step=step_callback(self, plan, on_progress, on_step_end, callback_inputs),
                watch=None if controlled is None else controlled.watch,
                is_stopped=lambda: (controlled is not None and controlled.is_stopped(device)) or self._interrupt,
                resuming=None if controlled is None else controlled.resuming(),
            )
        if controlled is not None:
            controlled.check_stopped(total)
        return made

    def decode(self, plan: RunPlan, latents: LatentPair, start: Start) -> tuple[object, object]:
        """Turn latents into frames and sound in the form that was asked for; what was given is returned untouched."""
        if plan.output_type == "latent":
            return latents.video, latents.audio
        with self._coding():
            decode = decode_video if self.placement is None else self.placement.decode
            frames = self._spread.decode_picture(self.video_vae, start, latents.video, decode)
            waveform = start.given_audio
            if frames is None:
                return None, None
            if waveform is None:
                num_samples = plan.geometry.num_samples
                waveform = _one_by_one(
                    lambda clip: decode_audio(self.audio_vae, clip, num_samples=num_samples), latents.audio
                )
        for name, decoded in (("video", frames), ("audio", waveform)):
            if not decoded.isfinite().all():
                raise NumericalError(f"the decoded {name} must hold finite numbers, got NaN or infinity")
        return format_frames(frames, plan.output_type), format_audio(waveform, plan.output_type)

    def _embed(
        self, plan: RunPlan, texts: str | Sequence[str] | None, embeds: torch.Tensor | None, name: str
    ) -> tuple[torch.Tensor, tuple[CutPrompt, ...]]:
        cut: tuple[CutPrompt, ...] = ()
        if embeds is None:
            prompts = [texts] if isinstance(texts, str) else list(texts or ())
            made = {text: encode_prompts(self.tokenizer, self.text_encoder, [text]) for text in dict.fromkeys(prompts)}
            embeds = torch.cat([made[text].embeds for text in prompts])
            cut = tuple(replace(one, index=index) for index, text in enumerate(prompts) for one in made[text].cut)
        return plan.expand(embeds.to(self._execution_device), name), cut


def _one_by_one(function: Callable[[torch.Tensor], torch.Tensor], batch: torch.Tensor) -> torch.Tensor:
    """Return the results of a function for each row of a batch, as a batch."""
    return torch.cat([function(row) for row in batch.split(1)])


def _rows(known: Mapping[int, torch.Tensor]) -> list[dict[int, torch.Tensor]]:
    """Return the known images (by frame, 1 or B of each) of each clip."""
    count = max((len(images) for images in known.values()), default=1)
    for images in known.values():
        if len(images) not in (1, count):
            raise ConfigError(
                f"image and last_image must hold one image or as many as each other ({count}), got {len(images)}"
            )
    return [
        {frame: images if len(images) == 1 else images[row : row + 1] for frame, images in known.items()}
        for row in range(count)
    ]
