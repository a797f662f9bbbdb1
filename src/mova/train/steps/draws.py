"""The random part of a training step: what is left out, noise levels, noise; all of it follows from seed and step.

The choices of a step are drawn for all its samples, on the CPU, by every process, and each takes its part. The noise of
a sample follows from its place in the step. So the numbers are the same however a step is split among processes and
micro-batches, and the processes that share a sample need no broadcast.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import torch

from mova.data.known import FrameTask
from mova.diffusion.flow import shift_sigma
from mova.diffusion.timesteps import Distribution, ExpertRange, sample_sigmas
from mova.names import Expert


@dataclass(frozen=True)
class DrawSettings:
    """How the choices of a step are drawn.

    Attributes:
        video_shift, audio_shift: shifts of the noise levels.
        independent: whether video and audio have times of their own.
        distribution: distribution of the times before the shift.
        text_dropout: share of samples without text.
        image_dropout: share of samples without their first frame; half of them get none, half a plain white one.
        bridge_dropout: share of steps without the bridge.
        frames: shares of samples of which other frames than the first are known, by task.
        video_held, audio_held: shares of samples whose video, whose audio is held clean.
        audio_only: share of samples whose video is noise alone.
    """

    video_shift: float = 5.0
    audio_shift: float = 1.0
    independent: bool = True
    distribution: Distribution = "uniform"
    text_dropout: float = 0.0
    image_dropout: float = 0.0
    bridge_dropout: float = 0.0
    frames: Mapping[FrameTask, float] = field(default_factory=dict)
    video_held: float = 0.0
    audio_held: float = 0.0
    audio_only: float = 0.0


@dataclass(frozen=True)
class StepDraws:
    """The choices of a step for B samples, on the CPU.

    Attributes:
        video_sigma, audio_sigma: (B,) float32 in (0, 1); 0 where the modality is held, 1 where it is noise alone.
        no_text, no_image, white_image: (B,) bool; the last two are never true together.
        use_bridge: for the whole step.
        tasks: of each sample, for which task its frames are known; None is the ordinary one. Nothing is that for all.
        video_learned, audio_learned: (B,) bool, whether the modality has a loss; None where it always has.
    """

    video_sigma: torch.Tensor
    audio_sigma: torch.Tensor
    no_text: torch.Tensor
    no_image: torch.Tensor
    white_image: torch.Tensor
    use_bridge: bool
    tasks: tuple[FrameTask | None, ...] = ()
    video_learned: torch.Tensor | None = None
    audio_learned: torch.Tensor | None = None

    def part(self, places: slice) -> StepDraws:
        """Return the choices for some of the samples."""
        fields = ("video_sigma", "audio_sigma", "no_text", "no_image", "white_image", "tasks")
        chosen = {name: getattr(self, name)[places] for name in fields}
        for name in ("video_learned", "audio_learned"):
            learned = getattr(self, name)
            chosen[name] = None if learned is None else learned[places]
        return replace(self, **chosen)


def draw_step(
    settings: DrawSettings, batch_size: int, generator: torch.Generator, within: ExpertRange | None = None
) -> StepDraws:
    """Draw the choices of one optimiser step.

    Args:
        settings: shares and distributions.
        batch_size: B, samples of the step over all processes.
        generator: CPU generator of the step.
        within: video noise levels of the expert whose turn it is; the audio's are not restricted (the paper does not
            say how they are drawn in such a step; free draws keep the audio's distribution whichever expert trains).
            A video is held in steps that reach sigma 0 only, and noise alone in those that reach 1.
    """
    no_text = torch.rand(batch_size, generator=generator) < settings.text_dropout
    image = torch.rand(batch_size, generator=generator)
    use_bridge = float(torch.rand((), generator=generator)) >= settings.bridge_dropout
    video_sigma = sample_sigmas(
        batch_size,
        shift=settings.video_shift,
        generator=generator,
        within=within,
        distribution=settings.distribution,
    )
    if settings.independent:
        audio_sigma = sample_sigmas(
            batch_size, shift=settings.audio_shift, generator=generator, distribution=settings.distribution
        )
    else:
        # The same time of the schedule for both: the video's shift is undone, the audio's applied.
        audio_sigma = shift_sigma(shift_sigma(video_sigma, 1 / settings.video_shift), settings.audio_shift)
    half = settings.image_dropout / 2
    white = (image >= half) & (image < settings.image_dropout)
    draws = StepDraws(video_sigma, audio_sigma, no_text, image < half, white, use_bridge, _tasks(image, settings))
    # Drawn last, and only where it is asked for: other recipes keep their numbers.
    if settings.video_held or settings.audio_held or settings.audio_only:
        return _with_held(draws, torch.rand(batch_size, generator=generator), settings, within)
    return draws


def _tasks(image: torch.Tensor, settings: DrawSettings) -> tuple[FrameTask | None, ...]:
    """Return the task of each sample by the draw that also decides which have no first frame."""
    if not settings.frames:
        return ()
    tasks: list[FrameTask | None] = [None] * len(image)
    end = settings.image_dropout
    for task, share in settings.frames.items():
        begin, end = end, end + share
        for row in ((image >= begin) & (image < end)).nonzero()[:, 0].tolist():
            tasks[row] = task
    return tuple(tasks)


def _with_held(draws: StepDraws, draw: torch.Tensor, settings: DrawSettings, within: ExpertRange | None) -> StepDraws:
    """Hold the audio, the video, or neither of each sample, or leave its video noise; `draw` is (B,) in [0, 1)."""
    audio_held = draw < settings.audio_held
    draw = draw - settings.audio_held
    video_held = (draw >= 0) & (draw < settings.video_held) & (within is None or within.low == 0)
    draw = draw - settings.video_held
    noise_alone = (draw >= 0) & (draw < settings.audio_only) & (within is None or within.high == 1)
    return replace(
        draws,
        video_sigma=draws.video_sigma.masked_fill(video_held, 0.0).masked_fill(noise_alone, 1.0),
        audio_sigma=draws.audio_sigma.masked_fill(audio_held, 0.0),
        video_learned=~(video_held | noise_alone),
        audio_learned=~audio_held,
    )


def draw_expert(cycle: Sequence[Expert] | Literal["by_noise"], step: int, boundary: float, seed: int) -> Expert:
    """Return the expert that an optimiser step trains; never two inside one step.

    Args:
        cycle: experts in turn, or "by_noise": drawn, each with the share of times that belongs to its noise levels.
        step: optimiser steps done.
        boundary: share of times that belong to the low-noise expert, in (0, 1).
        seed: seed of the run.
    """
    if cycle != "by_noise":
        return cycle[step % len(cycle)]
    generator = torch.Generator().manual_seed(_hashed(seed, step, 0, "expert"))
    return "low_noise" if float(torch.rand((), generator=generator)) < boundary else "high_noise"


def sample_noise(
    shape: Sequence[int], *, seed: int, step: int, places: Sequence[int], stream: str, device: torch.device
) -> torch.Tensor:
    """Draw the noise of some samples of a step.

    Args:
        shape: shape of one sample.
        seed: seed of the run.
        step: optimiser steps done.
        places: places of the samples in the step, over all processes.
        stream: "video" or "audio"; they share no numbers.
        device: device that draws; an accelerator's numbers are not a CPU's.

    Returns:
        (len(places), *shape) float32.
    """
    noise = torch.empty((len(places), *shape), device=device)
    generator = torch.Generator(device=device)
    for row, place in enumerate(places):
        generator.manual_seed(_hashed(seed, step, place, stream))
        noise[row].normal_(generator=generator)
    return noise


def _hashed(seed: int, step: int, place: int, stream: str) -> int:
    # 63 bits; the CPU generator keeps 32 of them, which is plenty for noise that is never compared across steps.
    return int.from_bytes(hashlib.sha256(f"{seed}/{step}/{place}/{stream}".encode()).digest()[:8], "big") >> 1
