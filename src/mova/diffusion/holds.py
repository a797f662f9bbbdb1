"""What of a clip is known and stays as it is, while the loop samples the rest.

A modality that is known whole is held "clean": its noise level and its timestep are 0 throughout. One that is known
in part has one noise level for what is known and what is not, as the model was trained: before every step the known
latent frames are put to that level, with the run's own initial noise ("renoise"). A modality that is known whole may be
held in that way as well. Either way what is held comes back as the same bits, and a solver with a history is told the
velocity that leads there, so that it remembers nothing wrong of it: every solver here treats each element by itself.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final, Literal, TypeVar, get_args

import torch

from mova.diffusion.flow import interpolate, velocity_target
from mova.diffusion.loop_state import PartState
from mova.diffusion.schedule import PairedSchedule
from mova.errors import ConfigError, GeometryError
from mova.types import LatentPair, Velocities

HoldMethod = Literal["clean", "renoise"]
_METHODS: Final[tuple[HoldMethod, ...]] = get_args(HoldMethod)
_NAMES: Final = ("video", "audio")
_Pair = TypeVar("_Pair", bound=LatentPair)


@dataclass(frozen=True, eq=False)
class Hold:
    """What of one modality is known and stays.

    Attributes:
        latents: clean, of the whole clip: video (B or 1, C, T, h, w) or audio (B or 1, C, A). Where nothing is held
            they are not read.
        held: (T,) or (A,) bool; all True: the whole modality.

    Raises:
        GeometryError: `held` is for another number of latent frames, or no bool.
        ConfigError: nothing is held.
    """

    latents: torch.Tensor
    held: torch.Tensor

    def __post_init__(self) -> None:
        length = self.latents.shape[2] if self.latents.ndim > 2 else 0
        if self.held.dtype != torch.bool or tuple(self.held.shape) != (length,):
            raise GeometryError(
                f"held must be ({length},) bool for latents {tuple(self.latents.shape)}, got {tuple(self.held.shape)} "
                f"{self.held.dtype}"
            )
        if not bool(self.held.any()):
            raise ConfigError("a hold must hold at least one latent frame, got none; leave it None")

    @property
    def is_whole(self) -> bool:
        """Whether every latent frame is held."""
        return bool(self.held.all())


@dataclass(frozen=True, eq=False)
class Holds:
    """What of a clip is known and stays.

    Attributes:
        video, audio: of each modality; None is sampled all of it.
        method: how a modality that is known whole is held, "clean" or "renoise". One that is known in part is always
            renoised.

    Raises:
        ConfigError: everything is held, or an unknown method.
    """

    video: Hold | None = None
    audio: Hold | None = None
    method: HoldMethod = "clean"

    def __post_init__(self) -> None:
        if self.method not in _METHODS:
            raise ConfigError(f"method of a hold must be one of {_METHODS}, got {self.method!r}")
        if all(hold is not None and hold.is_whole for hold in (self.video, self.audio)):
            raise ConfigError("video and audio are both held whole, so nothing is left to generate; free a part of one")

    def to(self, device: torch.device | str) -> Holds:
        """Return the holds with their latents on a device."""
        video, audio = (
            None if hold is None else Hold(hold.latents.to(device), hold.held.to(device))
            for hold in (self.video, self.audio)
        )
        return Holds(video, audio, self.method)

    def is_clean(self, name: Literal["video", "audio"]) -> bool:
        """Say whether a modality has noise level 0 throughout: what `hold_video` or `hold_audio` of a schedule is."""
        hold: Hold | None = getattr(self, name)
        return self.method == "clean" and hold is not None and hold.is_whole


class HeldRegions:
    """Holds during one run.

    Args:
        holds: what is known.
        noise: (B, ...) float32, initial noise of the run, also where it goes on from a later step.
        schedule: noise levels of the run.

    Raises:
        GeometryError: latents of another shape than those of the run.
        ConfigError: a modality that is held clean in a schedule that does not hold it, or the other way round.
    """

    def __init__(self, holds: Holds, noise: LatentPair, schedule: PairedSchedule) -> None:
        self._regions: dict[str, _Region] = {}
        for name, sigmas in zip(_NAMES, (schedule.video_sigmas, schedule.audio_sigmas), strict=True):
            hold: Hold | None = getattr(holds, name)
            if hold is None:
                continue
            is_clean = holds.is_clean("video" if name == "video" else "audio")
            if is_clean == bool(sigmas.any()):
                raise ConfigError(
                    f"{name} that is {'' if is_clean else 'not '}held clean needs a schedule "
                    f"{'with' if is_clean else 'without'} hold_{name}, got sigmas from {float(sigmas[0]):g} on"
                )
            self._regions[name] = _Region(hold, getattr(noise, name), sigmas.tolist(), name)

    def put(self, index: int, latents: LatentPair) -> LatentPair:
        """Return the latents of step `index` (at the end: of the number of steps) with what is held at its noise level.

        At noise level 0 that is the known latents themselves, to the bit.
        """
        if not self._regions:
            return latents
        return LatentPair(**{name: self._put(index, name, getattr(latents, name)) for name in _NAMES})

    def velocities(self, velocities: Velocities) -> Velocities:
        """Return predicted velocities, and where latents are held those that lead to them."""
        if not self._regions:
            return velocities
        return Velocities(**{name: self._lead(name, getattr(velocities, name)) for name in _NAMES})

    def free(self, latents: _Pair) -> _Pair:
        """Return latents or velocities, of any clips of the run, with zeros where latents are held."""
        if not self._regions:
            return latents
        return type(latents)(**{name: self._free(name, getattr(latents, name)) for name in _NAMES})

    def state(self) -> PartState:
        """Return what tells these holds from others."""
        return PartState({name: region.digest() for name, region in self._regions.items()})

    def load_state(self, state: PartState) -> None:
        """Refuse the state of a run that held something else."""
        if dict(state.numbers) != dict(self.state().numbers):
            raise ValueError("what is held differs")

    def _put(self, index: int, name: str, latents: torch.Tensor) -> torch.Tensor:
        region = self._regions.get(name)
        return latents if region is None else torch.where(region.mask, region.at(index), latents)

    def _lead(self, name: str, velocity: torch.Tensor) -> torch.Tensor:
        region = self._regions.get(name)
        return velocity if region is None else torch.where(region.mask, region.velocity.to(velocity.dtype), velocity)

    def _free(self, name: str, latents: torch.Tensor) -> torch.Tensor:
        region = self._regions.get(name)
        return latents if region is None else latents.masked_fill(region.mask, 0.0)


class _Region:
    """What is held of one modality, on the device and in the numbers of a run."""

    def __init__(self, hold: Hold, noise: torch.Tensor, sigmas: list[float], name: str) -> None:
        if hold.latents.shape[0] not in (1, noise.shape[0]) or hold.latents.shape[1:] != noise.shape[1:]:
            raise GeometryError(
                f"known {name} latents must be {tuple(noise.shape)} as those of the run (or one for all clips), got "
                f"{tuple(hold.latents.shape)}"
            )
        self.mask = hold.held.to(noise.device).view(1, 1, -1, *(1,) * (noise.ndim - 3))
        self._clean = hold.latents.to(noise).expand_as(noise)
        self._noise, self._sigmas = noise, sigmas
        self.velocity = velocity_target(self._clean, noise)

    def at(self, index: int) -> torch.Tensor:
        """Return the known latents at the noise level of a step."""
        sigma = self._sigmas[index]
        return interpolate(self._clean, self._noise, self._noise.new_full((1,), sigma)) if sigma else self._clean

    def digest(self) -> str:
        """Return a hash of what is held; it waits for the device."""
        held = self._clean.masked_fill(~self.mask, 0.0).cpu().contiguous()
        return hashlib.sha256(self.mask.cpu().numpy().tobytes() + held.numpy().tobytes()).hexdigest()
