"""The phases of a call: texts to embeddings, media to a start, noise to latents, latents to frames and audio.

Clips of a batch go through the towers together (see `sample`), and through encoders and autoencoders one by one, which
bounds the memory by one clip; texts that clips share are read once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from mova.codecs.audio import decode_audio, encode_audio
from mova.codecs.prompt import CutPrompt, encode_prompts
from mova.codecs.video import decode_video, encode_video
from mova.conditioning.frames import frame_condition, known_parts
from mova.conditioning.holds import Holds, hold_ranges
from mova.conditioning.kept import keep_frames, keep_samples
from mova.conditioning.spec import MODALITIES, NOTHING_HELD, Modality, Placed
from mova.diffusion.denoise import Couple
from mova.distributed.mesh import Parallel
from mova.errors import ConfigError, NumericalError
from mova.names import Expert
from mova.offload.placement import Placement
from mova.pipeline.call_record import CallRecord, each_text
from mova.pipeline.inputs.arguments import MAX_CLIPS, check_rest, check_texts
from mova.pipeline.inputs.call import CallInputs
from mova.pipeline.inputs.identity import identity_of
from mova.pipeline.inputs.media import GivenMedia, GivenNoise
from mova.pipeline.loop.control import ControlledRun
from mova.pipeline.loop.parallel import Spread
from mova.pipeline.loop.sampling import CALLBACK_INPUTS, Course, StepCallback, sample, step_callback
from mova.pipeline.loop.velocity import JointModel, TextConditions
from mova.pipeline.origin import INPUTS
from mova.pipeline.output import CallCount, OutputType, format_audio, format_frames
from mova.pipeline.precision import name_of
from mova.pipeline.run_plan import RunPlan, Start, plan_run
from mova.settings.sampling import SamplingSettings
from mova.settings.seeds import whole_number
from mova.types import LatentPair
from mova.weights.locate import ModelDefaults

if TYPE_CHECKING:
    from diffusers import AutoencoderKLWan
    from transformers import PreTrainedTokenizerBase, UMT5EncoderModel

    from mova.diffusion.schedule import PairedFlowMatchScheduler
    from mova.models.audio_vae import AudioAutoencoder
    from mova.models.tower import VideoTower


class PhasesMixin:
    """What a pipeline does in the phases of a call, in their order."""

    defaults: ModelDefaults
    tokenizer: PreTrainedTokenizerBase
    text_encoder: UMT5EncoderModel
    video_vae: AutoencoderKLWan
    audio_vae: AudioAutoencoder
    video_dit: VideoTower
    video_dit_2: VideoTower | None
    scheduler: PairedFlowMatchScheduler
    folder: Path | None
    config: Any
    placement: Placement | None
    _interrupt: bool = False
    _use_bridge: bool = True
    _spread: Spread
    progress_bar: Callable[..., Any]
    _reading_text: Callable[[], Any]
    _coding: Callable[[], Any]
    _denoising: Callable[[Iterable[Any], Sequence[Expert]], AbstractContextManager[Callable[[], None]]]
    _joint_models: Callable[[], Mapping[Expert, JointModel]]
    _check_cache_room: Callable[[RunPlan], None]
    get_active_adapters: Callable[[], dict[str, float]]
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

    def _record(self, plan: RunPlan, inputs: CallInputs) -> CallRecord:
        """Return how the clips were made, for their files."""
        negative = self.defaults.negative_prompt if inputs.negative_prompt is None else inputs.negative_prompt
        return CallRecord(
            prompts=each_text(inputs.prompt, plan.num_prompts, plan.per_prompt),
            negative_prompts=each_text(negative, plan.num_prompts, plan.per_prompt),
            settings=plan.settings,
            folder=self.folder,
            adapters=self.get_active_adapters(),
            media={name: getattr(inputs.media, name) for name in INPUTS},
            conditions=inputs.media.record(plan.geometry),
        )

    def _plan_run(self, settings: SamplingSettings, inputs: CallInputs) -> RunPlan:
        """Check all that a run is given, and settle what can be known beforehand."""
        check_texts(inputs, self.video_dit.config.text_dim)
        per_prompt = whole_number("num_videos_per_prompt", inputs.per_prompt, 1, MAX_CLIPS)
        texts = inputs.prompt, inputs.prompt_embeds
        plan = self.check_inputs(settings, inputs.media, inputs.noise, *texts, per_prompt, inputs.output_type)
        check_rest(plan, inputs, CALLBACK_INPUTS)
        self._check_cache_room(plan)
        return plan

    def check_inputs(
        self,
        settings: SamplingSettings,
        given: GivenMedia,
        noise: GivenNoise,
        prompt: str | Sequence[str] | None,
        prompt_embeds: torch.Tensor | None,
        per_prompt: int,
        output_type: OutputType,
    ) -> RunPlan:
        """Settle everything that can be known before the first computation; see `RunPlan`.

        Raises:
            ConfigError: arguments that contradict each other, or a value outside its range.
        """
        return plan_run(
            settings,
            self.scheduler,
            given,
            noise,
            prompt=prompt,
            prompt_embeds=prompt_embeds,
            per_prompt=per_prompt,
            output_type=output_type,
            boundary_ratio=None if self.video_dit_2 is None else self.config.boundary_ratio,
            num_processes=self.parallel.world_size,
        )

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
        """Draw the noise, encode what is known, and put modalities that are held whole in place of their noise."""
        geometry, device, placed = plan.geometry, self._execution_device, plan.placed
        drawn, seeds = noise.draw(geometry, plan.batch_size)
        frames, waveform = given.known_video(geometry, device), given.known_audio(geometry, device)
        with self._coding():
            known = self._known_latents(given, placed, frames, waveform)
            conditions = [
                self._condition_of(row, plan, frames, known.get("video"), index)
                for index, row in enumerate(_rows(given.known_images(geometry), frames, known.get("video")))
            ]
        known = {name: plan.expand(latents.to(device), name) for name, latents in known.items()}
        holds = {name: hold_ranges(latents, placed.held[name].latents) for name, latents in known.items()}
        start: dict[Modality, torch.Tensor] = {"video": drawn.video.to(device), "audio": drawn.audio.to(device)}
        for name, latents in known.items():
            if placed.held[name].is_whole and plan.hold == "clean":
                start[name] = latents
        own = {
            "frames": None if frames is None else plan.expand(frames, "video"),
            "audio": None if waveform is None else plan.expand(waveform, "audio"),
        }
        is_whole = {"frames": placed.video.is_whole, "audio": placed.audio.is_whole}
        return Start(
            latents=LatentPair(**start),
            condition=plan.expand(torch.cat(conditions), "image"),
            given_frames=own["frames"] if is_whole["frames"] else None,
            given_audio=own["audio"] if is_whole["audio"] else None,
            seeds=seeds,
            holds=Holds(**holds, method=plan.hold) if any(holds.values()) else None,
            kept_frames=None if is_whole["frames"] else own["frames"],
            kept_audio=None if is_whole["audio"] else own["audio"],
        )

    def _known_latents(
        self, given: GivenMedia, placed: Placed, frames: torch.Tensor | None, waveform: torch.Tensor | None
    ) -> dict[Modality, torch.Tensor]:
        """Return the clean latents of what stays: as given, else encoded clip by clip."""
        known: dict[Modality, torch.Tensor] = {}
        pair = given.known_latents
        if placed.video.latents:
            known["video"] = (
                pair.video if pair else _one_by_one(lambda clip: encode_video(self.video_vae, clip), _there(frames))
            )
        if placed.audio.latents:
            known["audio"] = (
                pair.audio if pair else _one_by_one(lambda clip: encode_audio(self.audio_vae, clip), _there(waveform))
            )
        return known

    def _condition_of(
        self,
        images: dict[int, torch.Tensor],
        plan: RunPlan,
        frames: torch.Tensor | None,
        latents: torch.Tensor | None,
        row: int,
    ) -> torch.Tensor:
        """Return what the video tower is told of one clip: (1, 4 + C, T, h, w)."""
        geometry, device, held = plan.geometry, self._execution_device, plan.placed.video
        own = None if frames is None else frames[row % len(frames)][None]
        known = None if latents is None else latents[row % len(latents)][None]
        if held.latents and held.latents[0][0] == 0:
            # Every MOVA model was trained to be told the first frame; what else stays is held as latents.
            first = decode_video(self.video_vae, _there(known)[:, :, :1]) if own is None else own
            images, held = {0: first[:, :, 0]} | ({} if held.is_whole else images), NOTHING_HELD
        if not held.latents:
            return frame_condition(self.video_vae, images, geometry, null_image=plan.null_image, device=device)
        return known_parts(self.video_vae, own, held, images, geometry, latents=known, device=device).joined()

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
        couple: Couple | None = None,
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
                holds=start.holds,
                couple=couple,
            )
        if controlled is not None:
            controlled.check_stopped(total)
        return made

    def decode(self, plan: RunPlan, latents: LatentPair, start: Start) -> tuple[object, object]:
        """Turn latents into frames and sound in the form that was asked for; what was given is returned untouched.

        A modality that is not asked for is None, and is not decoded.
        """
        if plan.output_type == "latent":
            return latents.video, latents.audio
        is_asked = {name: name in plan.outputs for name in MODALITIES}
        frames, waveform = None, start.given_audio
        with self._coding():
            decode = decode_video if self.placement is None else self.placement.decode
            if is_asked["video"]:
                frames = self._spread.decode_picture(self.video_vae, start, latents.video, decode)
            if not self.parallel.is_main:
                return None, None
            if is_asked["audio"] and waveform is None:
                num_samples = plan.geometry.num_samples
                waveform = _one_by_one(
                    lambda clip: decode_audio(self.audio_vae, clip, num_samples=num_samples), latents.audio
                )
        if frames is not None and start.kept_frames is not None:
            frames = keep_frames(frames, start.kept_frames, plan.placed.video.media)
        if is_asked["audio"] and waveform is not None and start.kept_audio is not None:
            rate = plan.geometry.codec.sample_rate
            waveform = keep_samples(waveform, start.kept_audio, plan.placed.audio.media, rate)
        for name, decoded in (("video", frames), ("audio", waveform)):
            if decoded is not None and not decoded.isfinite().all():
                raise NumericalError(f"the decoded {name} must hold finite numbers, got NaN or infinity")
        return (
            None if frames is None else format_frames(frames, plan.output_type),
            format_audio(waveform, plan.output_type) if is_asked["audio"] and waveform is not None else None,
        )

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


def _there(media: torch.Tensor | None) -> torch.Tensor:
    assert media is not None, "what stays is given"
    return media


def _rows(known: Mapping[int, torch.Tensor], *videos: torch.Tensor | None) -> list[dict[int, torch.Tensor]]:
    """Return the known images (by frame, 1 or B of each) of each clip, of which there may be 1 or B videos as well."""
    count = max((len(rows) for rows in (*known.values(), *videos) if rows is not None), default=1)
    for images in known.values():
        if len(images) not in (1, count):
            raise ConfigError(
                f"image and last_image must hold one image or as many as each other ({count}), got {len(images)}"
            )
    return [
        {frame: images if len(images) == 1 else images[row : row + 1] for frame, images in known.items()}
        for row in range(count)
    ]
