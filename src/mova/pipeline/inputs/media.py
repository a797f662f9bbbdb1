"""What a call is given besides texts: images, videos and audio with what of them stays, and noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from mova.checks import check_choice
from mova.conditioning.spec import ALL, Conditions, Modality, Moment, Placed, Span
from mova.diffusion.noise import draw_latents
from mova.errors import ConfigError, GeometryError
from mova.files.json_file import shorten
from mova.geometry import ClipGeometry
from mova.media.frames import FITS, Fit
from mova.pipeline.call_record import IN_PYTHON, fingerprint
from mova.pipeline.inputs.conversion import (
    AudioInput,
    ImageInput,
    VideoInput,
    image_tensor,
    video_tensor,
    waveform_tensor,
)
from mova.settings.seeds import Seeds, WholeNumbers, check_index, is_sequence, sample_seeds
from mova.types import LatentPair


@dataclass(frozen=True, eq=False)
class GivenMedia:
    """Images, video and audio of a call, as the caller has them, what of them stays, and what is asked for.

    Attributes:
        image, last_image: first and last frame, see `image_tensor`.
        video: see `video_tensor`; it begins with the clip.
        audio: see `waveform_tensor`; likewise.
        keyframes: further images by the moment at which they stand, see `mova.conditioning.spec.Moment`.
        keep_video, keep_audio: spans in seconds that stay; None keeps all of what is given, an empty one nothing. Of a
            video or an audio that is kept in spans nothing behind the last one need be there.
        outputs: modalities that are asked for.
        fit: what is done with media of another shape or length, one of `FITS`: "crop" cuts what sticks out and refuses
            what is too short; "pad" puts black bars round frames, and holds the last frame and adds silence where media
            are too short; "stretch" scales each direction of frames by itself, and is "crop" in time.
        known_latents: clean latents of the whole clip in place of encoded ones, for both modalities; what `keep_video`
            and `keep_audio` name of them stays. Frames and samples of the result are then decoded, unless `video` or
            `audio` gives them.
    """

    image: ImageInput | Sequence[ImageInput] | None = None
    last_image: ImageInput | Sequence[ImageInput] | None = None
    video: VideoInput | None = None
    audio: AudioInput | None = None
    keyframes: Mapping[Moment, ImageInput | Sequence[ImageInput]] = field(default_factory=dict)
    keep_video: Sequence[Span] | None = None
    keep_audio: Sequence[Span] | None = None
    outputs: frozenset[Modality] = ALL
    fit: Fit = "crop"
    known_latents: LatentPair | None = None
    _ready: dict[tuple[str, ClipGeometry], torch.Tensor] = field(default_factory=dict, init=False, repr=False)

    @property
    def images(self) -> dict[Moment, ImageInput | Sequence[ImageInput]]:
        """All images by their moments; first and last frame are frames 0 and -1."""
        own = {0: self.image, -1: self.last_image}
        found: dict[Moment, Any] = {moment: image for moment, image in own.items() if image is not None}
        for moment, image in self.keyframes.items():
            if moment in found:
                raise ConfigError(f"frame {moment} is given as image or last_image and as a keyframe; give one of them")
            found[moment] = image
        return found

    def conditions(self) -> Conditions:
        """Return what is given, in the words of `mova.conditioning.spec`."""
        has_latents = self.known_latents is not None
        return Conditions(
            keyframes=tuple(self.images),
            has_video=self.video is not None or has_latents,
            has_audio=self.audio is not None or has_latents,
            keep_video=_spans("keep_video", self.keep_video),
            keep_audio=_spans("keep_audio", self.keep_audio),
            outputs=frozenset(self.outputs),
        )

    def is_whole(self, name: Modality) -> bool:
        """Say whether a modality is given whole, as far as the arguments alone tell it."""
        is_given, kept = (self.video, self.keep_video) if name == "video" else (self.audio, self.keep_audio)
        return (is_given is not None or self.known_latents is not None) and kept is None

    def placed(self, geometry: ClipGeometry) -> Placed:
        """Return where all of it lies in a clip; errors as of `Conditions.place`."""
        return self.conditions().place(geometry)

    def check(self, geometry: ClipGeometry) -> Placed:
        """Refuse what contradicts itself or cannot be used for a clip of this geometry, before anything is computed.

        Returns:
            Where all of it lies in the clip.

        Raises:
            ConfigError, GeometryError, ReadError: see `Conditions.place`, `image_tensor`, `video_tensor` and
                `waveform_tensor`.
        """
        check_choice("fit", self.fit, FITS)
        for moment in self.keyframes:
            if isinstance(moment, bool) or not isinstance(moment, int | float):
                raise ConfigError(f"keyframes must be images by frame (int) or seconds (float), got {shorten(moment)}")
        placed = self.placed(geometry)
        self.known_images(geometry)
        self.known_video(geometry)
        self.known_audio(geometry)
        if self.known_latents is not None:
            check_known(self.known_latents, geometry)
        return placed

    def record(self, geometry: ClipGeometry) -> dict[str, object]:
        """Return what a clip says of them beside `INPUTS`, as JSON values; only what is not as usual."""
        placed = self.placed(geometry)
        found = self.conditions().record(geometry)
        others = [
            {"time_s": round(frame / geometry.frame_rate, 6), "file": IN_PYTHON, "sha256": fingerprint(image)}
            for frame, (moment, image) in zip(placed.keyframes, self.images.items(), strict=True)
            if moment in self.keyframes
        ]
        own = {"keyframes": others, "fit": "" if self.fit == "crop" else self.fit}
        if self.known_latents is not None:
            own["known_latents"] = fingerprint([self.known_latents.video, self.known_latents.audio])
        return found | {name: value for name, value in own.items() if value}

    def known_images(self, geometry: ClipGeometry) -> dict[int, torch.Tensor]:
        """Return the images (B, 3, H, W) by the frame that they fix."""
        found = {}
        for frame, (moment, image) in zip(self.placed(geometry).keyframes, self.images.items(), strict=True):
            key = (f"image {moment!r}", geometry)
            if key not in self._ready:
                self._ready[key] = image_tensor(image, geometry, self.fit)
            found[frame] = self._ready[key]
        return found

    def known_video(self, geometry: ClipGeometry, device: torch.device | str = "cpu") -> torch.Tensor | None:
        """Return the video (B, 3, F, H, W); behind what stays of it in spans its last frame is repeated."""
        if self.video is None:
            return None
        key = ("video", geometry)
        if key not in self._ready:
            needed = self.placed(geometry).video.end
            self._ready[key] = video_tensor(self.video, geometry, self.fit, needed=needed)
        return self._ready[key].to(device)

    def known_audio(self, geometry: ClipGeometry, device: torch.device | str = "cpu") -> torch.Tensor | None:
        """Return the audio (B, 1, S); behind what stays of it in spans there is silence where nothing is given."""
        if self.audio is None:
            return None
        key = ("audio", geometry)
        if key not in self._ready:
            needed = self.placed(geometry).audio.end
            self._ready[key] = waveform_tensor(self.audio, geometry, self.fit, needed=needed)
        return self._ready[key].to(device)


def _spans(name: str, spans: object) -> tuple[Span, ...] | None:
    """Return spans as tuples of floats.

    Raises:
        ConfigError: something that is no list of pairs of numbers.
    """
    if spans is None:
        return None
    try:
        return tuple((float(start), float(end)) for start, end in spans)  # type: ignore[attr-defined]
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{name} must be a list of (start, end) in seconds, got {shorten(spans)}") from error


def check_known(latents: LatentPair, geometry: ClipGeometry) -> None:
    """Refuse known latents of another clip.

    Raises:
        GeometryError: with the shape that they must have.
    """
    wanted = geometry.video_latent_shape, geometry.audio_latent_shape
    for name, own, shape in zip(("video", "audio"), (latents.video, latents.audio), wanted, strict=True):
        if tuple(own.shape[1:]) != shape:
            raise GeometryError(
                f"known {name} latents must be (B, {str(shape)[1:]} for this clip, got {tuple(own.shape)}"
            )


@dataclass(frozen=True, eq=False)
class GivenNoise:
    """Where the initial noise of a call comes from: seeds, generators, or the caller's own tensors for one or both."""

    seed: WholeNumbers | None = None
    generator: torch.Generator | Sequence[torch.Generator] | None = None
    video: torch.Tensor | None = None
    audio: torch.Tensor | None = None
    index: WholeNumbers = 0

    def check(self) -> None:
        """Refuse what contradicts itself."""
        if self.seed is not None and self.generator is not None:
            raise ConfigError("seed and generator are both given; give one of them")
        if self.generator is not None and (is_sequence(self.index) or check_index(self.index)):
            raise ConfigError(f"index counts the clips of a seed, got {self.index} with a generator; leave one out")

    def draw(self, geometry: ClipGeometry, batch_size: int) -> tuple[LatentPair, Seeds | None]:
        """Return the noise of B clips, float32, and the seeds that it came from (None where there are none)."""
        seeds = None
        if self.generator is not None:
            noise = draw_from_generator(geometry, self.generator, batch_size)
        elif self.video is not None and self.audio is not None:
            noise = LatentPair(video=self.video, audio=self.audio)
        else:
            seeds = sample_seeds(self.seed, batch_size, self.index)
            noise = draw_batch(geometry, seeds)
        video, audio = self.video, self.audio
        video = (
            noise.video
            if video is None
            else check_latents(video, (batch_size, *geometry.video_latent_shape), "latents")
        )
        audio = (
            noise.audio
            if audio is None
            else check_latents(audio, (batch_size, *geometry.audio_latent_shape), "audio_latents")
        )
        return LatentPair(video=video, audio=audio), seeds


def expand_batch(value: torch.Tensor, num_prompts: int, per_prompt: int, name: str) -> torch.Tensor:
    """Repeat (1 or num_prompts, ...) so that each prompt's samples stand together: (num_prompts * per_prompt, ...)."""
    if value.shape[0] == num_prompts * per_prompt:
        return value
    if value.shape[0] not in (1, num_prompts):
        raise ConfigError(f"{name} must hold 1 or {num_prompts} items for {num_prompts} prompts, got {value.shape[0]}")
    per_item = per_prompt if value.shape[0] == num_prompts else num_prompts * per_prompt
    return value.repeat_interleave(per_item, dim=0)


def draw_batch(geometry: ClipGeometry, seeds: Seeds) -> LatentPair:
    """Draw the initial noise of a batch: float32 on the CPU."""
    shapes = geometry.video_latent_shape, geometry.audio_latent_shape
    parts = [draw_latents(*shapes, seed=seed, sample_indices=[index]) for seed, index in seeds]
    return LatentPair(torch.cat([part.video for part in parts]), torch.cat([part.audio for part in parts]))


def draw_from_generator(
    geometry: ClipGeometry, generator: torch.Generator | Sequence[torch.Generator], batch_size: int
) -> LatentPair:
    """Draw noise from the caller's generators, video first: one for the whole batch, or one per sample."""
    each = isinstance(generator, Sequence)
    generators = list(generator) if isinstance(generator, Sequence) else [generator]
    if each and len(generators) != batch_size:
        raise ConfigError(f"generator must be one or one per clip ({batch_size}), got {len(generators)}")
    size = 1 if each else batch_size
    pairs = []
    for one in generators:
        shapes = [(size, *shape) for shape in (geometry.video_latent_shape, geometry.audio_latent_shape)]
        pairs.append([torch.randn(shape, generator=one, device=one.device).cpu() for shape in shapes])
    return LatentPair(torch.cat([pair[0] for pair in pairs]), torch.cat([pair[1] for pair in pairs]))


def check_latents(latents: torch.Tensor, shape: tuple[int, ...], name: str) -> torch.Tensor:
    """Return given initial noise as float32, or say which shape it must have."""
    if tuple(latents.shape) != shape:
        raise GeometryError(f"{name} must be {shape} for this clip, got {tuple(latents.shape)}")
    return latents.float()
