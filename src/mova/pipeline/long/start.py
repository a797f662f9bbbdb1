"""What the loop of a window starts from: its noise, and what is known of both modalities from the windows before."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

import torch

from mova.codecs.audio_stream import encode_span
from mova.codecs.video import frames_to_tensor
from mova.conditioning.frames import known_frames
from mova.conditioning.holds import Hold, Holds
from mova.conditioning.windows import AUDIO_MARGIN, Window, WindowPlan
from mova.pipeline.inputs.media import GivenMedia, GivenNoise
from mova.pipeline.long.given import LongInputs
from mova.pipeline.long.store import StoredWindow
from mova.pipeline.run_plan import RunPlan, Start
from mova.settings.sampling import SamplingSettings
from mova.types import LatentPair

if TYPE_CHECKING:
    from mova.codecs.prompt import CutPrompt
    from mova.diffusion.schedule import SigmaLookup
    from mova.pipeline.loop.velocity import TextConditions
    from mova.pipeline.pipeline import MovaPipeline


class WindowStarter:
    """Prepares one window after the other; keeps of the clip what the next one takes over, and nothing else.

    Args:
        pipeline: with encoders and autoencoders.
        settings: of a window.
        plan: of the windows.
        inputs: what is asked for.

    Attributes:
        cut: prompts that were longer than the model reads.
    """

    def __init__(
        self, pipeline: MovaPipeline, settings: SamplingSettings, plan: WindowPlan, inputs: LongInputs
    ) -> None:
        self._pipeline, self._settings, self._plan, self._inputs = pipeline, settings, plan, inputs
        self._texts: dict[str, TextConditions] = {}
        self._frames = torch.zeros(0)
        self._latents = LatentPair(torch.zeros(1, 0, 0, 0, 0), torch.zeros(1, 0, 0))
        own = inputs.known_audio
        self._own_audio = None if own is None else torch.from_numpy(own)[None].float()
        self.cut: tuple[CutPrompt, ...] = ()

    def start(self, window: Window, prompt: str, seed: int) -> tuple[RunPlan, TextConditions, Start]:
        """Return the plan of a window's run, its text, and what it starts from, on every process."""
        pipeline = self._pipeline
        media = GivenMedia() if window.index or self._inputs.known_frames is not None else self._inputs.media
        noise = GivenNoise(seed=[seed], index=[self._inputs.index])
        settings = self._settings
        is_heard = self._num_own(window) == window.audio_stop - window.audio_start
        if is_heard and not settings.hold_noise:
            settings = replace(settings, audio_shift=None)
        plan = pipeline.check_inputs(settings, media, noise, prompt, None, 1, "latent")
        if is_heard:
            schedule = pipeline.scheduler.make_schedule(
                settings.num_inference_steps,
                video_shift=settings.video_shift,
                audio_shift=settings.audio_shift,
                hold_audio=True,
                hold_noise=settings.hold_noise,
                sigma_lookup=cast("SigmaLookup", settings.sigma_lookup),
            )
            plan = replace(plan, schedule=schedule)
        text, start = pipeline.prepare(
            lambda: (self._text(plan, prompt), self._start(window, plan, media, noise, is_heard))
        )
        return plan, text, start

    def note(self, stored: StoredWindow, frames: torch.Tensor, following: Window | None) -> None:
        """Keep what the following window takes over.

        Args:
            stored: latents of a window.
            frames: (1, 3, F, H, W) that were decoded of it; nothing on processes that do not decode.
            following: None for the last one.
        """
        if following is None:
            return
        kept = self._latents
        video = torch.cat([kept.video, stored.video], dim=2) if kept.video.numel() else stored.video
        audio = stored.audio[:, :, : stored.kept_audio]
        audio = torch.cat([kept.audio, audio], dim=2) if kept.audio.numel() else audio
        # The first latent frame of a window is one of its own.
        self._latents = LatentPair(
            video[:, :, video.shape[2] - following.known + 1 :].clone(),
            audio[:, :, audio.shape[2] - following.known_audio :].clone(),
        )
        if frames.numel():
            count = self._plan.frames_until(following.known)
            joined = torch.cat([self._frames, frames], dim=2) if self._frames.numel() else frames
            self._frames = joined[:, :, -count:].clone()

    def _text(self, plan: RunPlan, prompt: str) -> TextConditions:
        if prompt not in self._texts:
            found = self._pipeline.encode_prompt(plan, prompt, self._inputs.negative_prompt)
            self._texts[prompt] = found
            self.cut = (*self.cut, *found.cut)
        return self._texts[prompt]

    def _start(self, window: Window, plan: RunPlan, media: GivenMedia, noise: GivenNoise, is_heard: bool) -> Start:
        pipeline, device = self._pipeline, self._pipeline.run_device
        known = self._known_video(window)
        if known is None:
            start = pipeline.prepare_latents(plan, media, noise)
            video = None
        else:
            drawn, seeds = noise.draw(plan.geometry, 1)
            with pipeline.coding():
                condition, clean = self._condition(window, known)
            latents = LatentPair(drawn.video.to(device), drawn.audio.to(device))
            start = Start(latents=latents, condition=condition, given_frames=None, given_audio=None, seeds=seeds)
            held = torch.zeros(plan.geometry.num_latent_frames, dtype=torch.bool)
            held[: window.known] = True
            video = Hold(clean, held)
        audio = self._audio_hold(window, plan)
        if is_heard and audio is not None and plan.hold == "clean":
            start = replace(start, latents=LatentPair(start.latents.video, audio.latents))
        holds = Holds(video=video, audio=audio, method=plan.hold) if video is not None or audio is not None else None
        return replace(start, holds=holds)

    def _known_video(self, window: Window) -> torch.Tensor | None:
        """Return the frames (1, 3, O, H, W) that a window begins with."""
        if window.index:
            return self._frames
        own = self._inputs.known_frames
        return None if own is None else frames_to_tensor(own)

    def _condition(self, window: Window, known: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what the video tower is told, (1, 4 + C, T, h, w), and the latents (1, C, T, h, w) that are held."""
        geometry, device = self._plan.window, self._pipeline.run_device
        frames = torch.zeros(1, 3, geometry.num_frames, geometry.height, geometry.width, device=device)
        frames[:, :, : known.shape[2]] = known.to(device)
        is_known = torch.zeros(geometry.num_frames, dtype=torch.bool)
        is_known[: known.shape[2]] = True
        vae = self._pipeline.video_vae
        found = known_frames(vae, frames, is_known)
        if window.index:
            # As they are, and not decoded and encoded again; the first one alone stands for a single frame here.
            found.latents[:, :, 1 : window.known] = self._latents.video.to(found.latents)
        if self._inputs.told == "all":
            return found.joined(), found.latents.clone()
        is_known[1:] = False
        return known_frames(vae, frames, is_known).joined(), found.latents

    def _num_own(self, window: Window) -> int:
        """Return how many audio latents at the beginning of a window are of audio that was given."""
        if self._own_audio is None:
            return 0
        samples = self._own_audio.shape[-1]
        length = window.audio_stop - window.audio_start
        is_whole = samples >= self._inputs.samples_until(self._plan.clip, self._plan.clip.num_frames)
        if is_whole:
            return length
        latents = samples // self._plan.clip.codec.hop_length - AUDIO_MARGIN
        return min(max(0, latents - window.audio_start), length)

    def _audio_hold(self, window: Window, plan: RunPlan) -> Hold | None:
        length, device = plan.geometry.num_audio_latents, self._pipeline.run_device
        own = self._num_own(window)
        before = window.known_audio if window.index else 0
        if not max(own, before):
            return None
        latents = torch.zeros(1, plan.geometry.codec.audio_channels, length, device=device)
        if own:
            assert self._own_audio is not None, "it was counted"
            with self._pipeline.coding():
                latents[:, :, :own] = encode_span(
                    self._pipeline.audio_vae,
                    self._own_audio.to(device),
                    window.audio_start,
                    window.audio_start + own,
                )
        if before:
            latents[:, :, :before] = self._latents.audio.to(device)
        held = torch.zeros(length, dtype=torch.bool)
        held[: max(own, before)] = True
        return Hold(latents, held)
