"""The pipeline: prompts and images in, clips out. Read `run` from top to bottom; its phases are in `phases.py`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from diffusers.configuration_utils import register_to_config
from diffusers.pipelines.pipeline_utils import DiffusionPipeline

from mova.conditioning.frames import NullImage
from mova.conditioning.spec import ALL, Modality, Moment, Span
from mova.diffusion.sampler import SamplerName
from mova.diffusion.schedule import PairedFlowMatchScheduler, SigmaLookup
from mova.errors import ConfigError
from mova.geometry import CodecGeometry
from mova.media.frames import Fit
from mova.offload.placement import Placement
from mova.pipeline.inputs.arguments import check_text, plain_settings
from mova.pipeline.inputs.call import CallInputs
from mova.pipeline.inputs.conversion import AudioInput, ImageInput, VideoInput
from mova.pipeline.inputs.media import GivenMedia, GivenNoise
from mova.pipeline.loading.storing import StoredMixin
from mova.pipeline.loop.parallel import Spread, SpreadPipelineMixin
from mova.pipeline.loop.sampling import CALLBACK_INPUTS, StepCallback
from mova.pipeline.lora import LoraPipelineMixin
from mova.pipeline.moving import MovingMixin
from mova.pipeline.output import MovaPipelineOutput, OutputType
from mova.pipeline.phases import PhasesMixin
from mova.pipeline.placed import PlacedPipelineMixin
from mova.pipeline.sharing import Shared, SharingMixin
from mova.settings.sampling import GivenSettings, SamplingSettings
from mova.settings.seeds import WholeNumbers

if TYPE_CHECKING:
    from diffusers import AutoencoderKLWan
    from transformers import PreTrainedTokenizerBase, UMT5EncoderModel

    from mova.models.audio_vae import AudioAutoencoder
    from mova.models.bridge import CrossModalBridge
    from mova.models.tower import AudioTower, VideoTower


class MovaPipeline(
    StoredMixin,
    MovingMixin,
    PhasesMixin,
    PlacedPipelineMixin,
    LoraPipelineMixin,
    SpreadPipelineMixin,
    SharingMixin,
    DiffusionPipeline,
):
    """Generates video with its audio. Components are named as on disk in the published layout.

    Calling the pipeline changes none of its components. Towers run in their own dtype, latents and schedule in float32,
    the audio autoencoder in float32.

    Args:
        video_vae: video autoencoder.
        audio_vae: audio autoencoder.
        text_encoder: UMT5 encoder.
        tokenizer: of the text encoder.
        scheduler: makes schedules; holds no state of a run.
        video_dit: video tower, the expert for high noise (or the only one).
        video_dit_2: expert for low noise, or None.
        audio_dit: audio tower.
        dual_tower_bridge: between the towers.
        audio_vae_type: must be "dac", as published.
        boundary_ratio: video noise level from which the high-noise expert works; None takes that of the pipeline whose
            components these are, else 0.9 as published.
    """

    _optional_components: ClassVar[list[str]] = ["video_dit_2"]
    placement: Shared[Placement | None] = Shared(None)  # type: ignore[assignment]
    _spread: Shared[Spread] = Shared(Spread())  # type: ignore[assignment]
    _adapters: Shared[Any] = Shared(None)
    _merged: Shared[Any] = Shared(None)
    _is_lora_on: Shared[bool] = Shared(True)

    @register_to_config
    def __init__(
        self,
        video_vae: AutoencoderKLWan,
        audio_vae: AudioAutoencoder,
        text_encoder: UMT5EncoderModel,
        tokenizer: PreTrainedTokenizerBase,
        scheduler: PairedFlowMatchScheduler,
        video_dit: VideoTower,
        video_dit_2: VideoTower | None,
        audio_dit: AudioTower,
        dual_tower_bridge: CrossModalBridge,
        audio_vae_type: str = "dac",
        boundary_ratio: float | None = None,
    ) -> None:
        super().__init__()
        if audio_vae_type != "dac":
            raise ConfigError(f"audio_vae_type must be 'dac', got {audio_vae_type!r}")
        self.register_modules(
            video_vae=video_vae,
            audio_vae=audio_vae,
            text_encoder=text_encoder,
            tokenizer=tokenizer,
            scheduler=scheduler,
            video_dit=video_dit,
            video_dit_2=video_dit_2,
            audio_dit=audio_dit,
            dual_tower_bridge=dual_tower_bridge,
        )
        self.share_state(video_dit)
        if boundary_ratio is not None or self.config.boundary_ratio is None:
            self.boundary_ratio = 0.9 if boundary_ratio is None else boundary_ratio

    @property
    def boundary_ratio(self) -> float:
        """Video noise level from which the high-noise expert works."""
        ratio: float = self.config.boundary_ratio
        return ratio

    @boundary_ratio.setter
    def boundary_ratio(self, ratio: float) -> None:
        self.register_to_config(boundary_ratio=ratio)

    def __setattr__(self, name: str, value: object) -> None:
        """Set a component or another attribute.

        Raises:
            ConfigError: a scheduler of another kind.
        """
        if name == "scheduler" and not isinstance(value, PairedFlowMatchScheduler):
            raise ConfigError(
                "scheduler must be a PairedFlowMatchScheduler, which has noise levels for video and others for audio, "
                f"got {type(value).__name__}; sampler='euler' or 'unipc' in a call changes how steps are taken"
            )
        super().__setattr__(name, value)

    @property
    def codec_geometry(self) -> CodecGeometry:
        """Strides and rates, from the configurations of the components."""
        patch_t, patch_h, patch_w = self.video_dit.config.patch_size
        return CodecGeometry(
            spatial_stride=self.video_vae.config.scale_factor_spatial,
            temporal_stride=self.video_vae.config.scale_factor_temporal,
            patch_size=(patch_t, patch_h, patch_w),
            sample_rate=self.audio_vae.sample_rate,
            hop_length=self.audio_vae.hop_length,
            video_channels=self.video_vae.config.z_dim,
            audio_channels=self.audio_vae.latent_channels,
        )

    @torch.no_grad()
    def __call__(
        self,
        prompt: str | Sequence[str] | None = None,
        image: ImageInput | Sequence[ImageInput] | None = None,
        last_image: ImageInput | Sequence[ImageInput] | None = None,
        negative_prompt: str | Sequence[str] | None = None,
        *,
        video: VideoInput | None = None,
        audio: AudioInput | None = None,
        keyframes: Mapping[Moment, ImageInput | Sequence[ImageInput]] | None = None,
        keep_video: Sequence[Span] | None = None,
        keep_audio: Sequence[Span] | None = None,
        outputs: Modality | Collection[Modality] = ALL,
        fit: Fit = "crop",
        height: int | None = None,
        width: int | None = None,
        num_frames: int | None = None,
        frame_rate: float | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        modality_scale: float | None = None,
        audio_guidance_scale: float | None = None,
        audio_modality_scale: float | None = None,
        guidance_rescale: float | None = None,
        guidance_interval: tuple[float, float] | None = None,
        video_shift: float | None = None,
        audio_shift: float | None = None,
        hold_noise: float | None = None,
        sampler: SamplerName | None = None,
        sigma_lookup: SigmaLookup = "exact",
        null_image: NullImage = "white",
        num_videos_per_prompt: int = 1,
        seed: WholeNumbers | None = None,
        index: WholeNumbers = 0,
        generator: torch.Generator | Sequence[torch.Generator] | None = None,
        latents: torch.Tensor | None = None,
        audio_latents: torch.Tensor | None = None,
        prompt_embeds: torch.Tensor | None = None,
        negative_prompt_embeds: torch.Tensor | None = None,
        batch_branches: bool | None = None,
        speed: str = "exact",
        adaptive_guidance: float | None = None,
        step_cache: float | None = None,
        step_cache_order: int | None = None,
        output_type: OutputType = "pil",
        return_dict: bool = True,
        callback_on_step_end: StepCallback | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = CALLBACK_INPUTS,
    ) -> MovaPipelineOutput | tuple[Any, Any]:
        """Generate clips.

        What is None takes the model's recommendation (`self.defaults`) where there is one.

        Args:
            prompt: one text or several; what happens, then what is heard.
            image: first frame, for all prompts or one each.
            last_image: last frame, likewise.
            negative_prompt: what guidance leads away from; None is the model's, else the empty text.
            video: frames, arrays, tensors or what a call returned, see `video_tensor`: audio is made for it.
            audio: (S,), (1, S) or (B, 1, S) at the model's rate, see `waveform_tensor`: a video is made for it.
            keyframes: images by frame (int, negative from the end) or seconds (float); each is moved to where a latent
                frame ends, and `snaps` of the result says so.
            keep_video, keep_audio: spans (start, end) in seconds of `video` and `audio` that stay while the rest is
                made anew; None: all of it. outputs: "video", "audio" or both.
            fit: of media of another shape or length: "crop", "pad" or "stretch", see `GivenMedia`.
            height, width: in pixels; num_frames: 1 plus a multiple of the temporal stride; frame_rate: per second.
            num_inference_steps: 1 to 1000.
            guidance_scale: classifier-free guidance scale for the text prompt; 1 disables it.
            modality_scale: cross-modal (bridge) guidance scale; 1 disables it.
            audio_guidance_scale, audio_modality_scale: the same two for the audio alone; None takes those of the video.
            guidance_rescale, guidance_interval: see `Guidance`.
            video_shift, audio_shift: sigma shift of the schedule; None takes the scheduler's.
            hold_noise: in [0, 1], noise augmentation of `video` or `audio` that is given whole: share of each step's
                noise level that it has; 0 holds it clean at timestep 0, 1 as noisy as what is made.
            sampler: "euler" or "unipc".
            sigma_lookup: "nearest" for the quantised sigmas of the published code.
            null_image: what stands in for a missing first frame: "white", or "none" for no known frame at all.
            num_videos_per_prompt: clips per prompt.
            seed: one number, or one per clip; None draws one. index: number of the first clip among those of its seed,
                or one per clip: clip 1 of `seed=1` alone is `seed=1, index=1`. The result names both for every clip.
            generator: instead of a seed: one, or one per clip. latents, audio_latents: initial noise, used exactly.
            prompt_embeds, negative_prompt_embeds: (B, P, C) instead of texts.
            batch_branches: evaluate guidance branches in one call where they allow it (same numbers up to rounding);
                None: where the calls are small, or bring the weights anew.
            speed: "exact", "fast" or "fastest": what is recommended for steps, guidance and step cache; what is given
                here counts all the same (see `mova.settings.speed`). "distilled": what the acting LoRA recommends.
            adaptive_guidance: in [0, 1]; cosine distance of the predictions with and without the text below which
                guidance ends; 0 is off (see `mova.diffusion.adaptive_guidance`).
            step_cache: relative change of the video tower's first block below which its other blocks repeat what they
                added at an earlier step; 0 is off (see `mova.pipeline.loop.step_cache`).
            step_cache_order: 0 repeats what they added, 1 and 2 forecast it from two or three steps.
            output_type: see `MovaPipelineOutput`.
            return_dict: False returns (frames, audio).
            callback_on_step_end: called with (pipeline, step, timestep, latents by name) after each step; latents that
                it returns replace the current ones. `pipeline._interrupt = True` ends the run before its next step.
            callback_on_step_end_tensor_inputs: what it is shown: "latents", "audio_latents" or both.

        Raises:
            ConfigError, GeometryError: an argument that cannot be used, before any computation.
            NumericalError: latents that are not finite, with the step at which they appeared.
        """
        given = GivenSettings(
            height=height,
            width=width,
            num_frames=num_frames,
            frame_rate=frame_rate,
            num_inference_steps=num_inference_steps,
            guidance_scale=guidance_scale,
            modality_scale=modality_scale,
            audio_guidance_scale=audio_guidance_scale,
            audio_modality_scale=audio_modality_scale,
            guidance_rescale=guidance_rescale,
            guidance_interval=guidance_interval,
            video_shift=video_shift,
            audio_shift=audio_shift,
            hold_noise=hold_noise,
            sampler=sampler,
            sigma_lookup=sigma_lookup,
            null_image=null_image,
            adaptive_guidance=adaptive_guidance,
            step_cache=step_cache,
            step_cache_order=step_cache_order,
        )
        inputs = CallInputs(
            prompt=prompt,
            negative_prompt=negative_prompt,
            prompt_embeds=prompt_embeds,
            negative_prompt_embeds=negative_prompt_embeds,
            media=GivenMedia(
                image,
                last_image,
                video,
                audio,
                keyframes or {},
                keep_video,
                keep_audio,
                frozenset([outputs] if isinstance(outputs, str) else outputs),
                fit,
            ),
            noise=GivenNoise(seed=seed, generator=generator, video=latents, audio=audio_latents, index=index),
            per_prompt=num_videos_per_prompt,
            batch_branches=batch_branches,
            output_type=output_type,
            on_step_end=callback_on_step_end,
            callback_inputs=callback_on_step_end_tensor_inputs,
        )
        made = self.run(self.complete_settings(given, speed=speed, media=inputs.media), inputs)
        return made if return_dict else (made.frames, made.audio)

    def complete_settings(
        self, given: GivenSettings, *, speed: str = "exact", media: GivenMedia | None = None
    ) -> SamplingSettings:
        """Check what was given and complete it with the speed preset and what the model recommends.

        Args:
            given: numbers of NumPy and torch count as numbers.
            speed: preset of `mova.settings.speed`.
            media: of the clip; of what is given whole and held clean, video or audio, no recommended shift applies.

        Raises:
            ConfigError, GeometryError: a value that cannot be used, by name.
        """
        media, speed = media or GivenMedia(), check_text("speed", speed)
        return SamplingSettings.for_model(
            self._defaults_at(speed),
            self.codec_geometry,
            plain_settings(given),
            speed=speed,
            hold_video=media.is_whole("video"),
            hold_audio=media.is_whole("audio"),
        )

    @torch.no_grad()
    def run(self, settings: SamplingSettings, inputs: CallInputs) -> MovaPipelineOutput:
        """Generate clips with settings that are complete; errors as of a call.

        Args:
            settings: checked, for this model; `complete_settings` makes them.
            inputs: all else that a call is given.

        Raises:
            StateError: the control's state is of another run; before any computation.
            StoppedError: the control asked for it. The pipeline can be used again.
        """
        plan, media = self._plan_run(settings, inputs), inputs.media
        with self._state.turns.call():
            self._interrupt = False
            controlled = self.control_run(plan, inputs, self._record(plan, inputs))
            text, start = self._spread.prepare(
                lambda: (
                    self.encode_prompt(
                        plan,
                        inputs.prompt,
                        inputs.negative_prompt,
                        inputs.prompt_embeds,
                        inputs.negative_prompt_embeds,
                    ),
                    self.prepare_latents(plan, media, inputs.noise),
                ),
                self._execution_device,
            )
            final, calls = self.denoise(
                plan,
                text,
                start,
                batch_branches=inputs.batch_branches,
                clip_by_clip=inputs.clip_by_clip,
                on_step_end=inputs.on_step_end,
                callback_inputs=inputs.callback_inputs,
                controlled=controlled,
            )
            frames, waveform = self.decode(plan, final, start)
        return MovaPipelineOutput(
            frames=frames,
            audio=waveform,
            sample_rate=plan.geometry.codec.sample_rate,
            frame_rate=plan.geometry.frame_rate,
            seeds=start.seeds,
            cut_prompts=text.cut,
            calls=calls,
            record=self._record(plan, inputs),
            snaps=plan.placed.snaps,
        )
