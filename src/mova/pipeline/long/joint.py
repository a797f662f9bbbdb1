"""Windows that are made together: at every step of the sampler, overlapping ones agree on what they share.

After MultiDiffusion (Bar-Tal et al., 2023): each window is asked for its velocities by itself, and where windows
overlap the velocities are averaged, with weights that rise from the edge of a window inwards. All windows start from
the same noise there, so their latents stay equal, and the clip is one from its first step on. Memory holds the latents
of the whole clip, which are small; the model sees one window at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch

from mova.conditioning.windows import WindowPlan
from mova.types import LatentPair, Velocities


@dataclass(frozen=True)
class _Part:
    """Where a window lies in the latents of the clip, and where that is in its own.

    Attributes:
        start, stop: in the clip.
        own: index of `start` in the window.
    """

    start: int
    stop: int
    own: int

    @property
    def inside(self) -> slice:
        """The part of the window."""
        return slice(self.own, self.own + self.stop - self.start)

    @property
    def outside(self) -> slice:
        """The part of the clip."""
        return slice(self.start, self.stop)


class Agreement:
    """Lets windows agree; they are the clips of a batch, in their order.

    Args:
        plan: of the windows, which overlap.
    """

    def __init__(self, plan: WindowPlan) -> None:
        codec = plan.clip.codec
        whole = plan.window.num_samples // codec.hop_length
        # The first latent frame of all windows but the first is their own, and so is an audio latent that is padded.
        self._video = [_Part(one.start + bool(one.index), one.stop, int(bool(one.index))) for one in plan.windows]
        self._audio = [_Part(one.audio_start, one.audio_start + whole, 0) for one in plan.windows]
        last = plan.windows[-1]
        self._audio[-1] = _Part(last.audio_start, last.audio_stop, 0)

    def share_noise(self, noise: LatentPair) -> LatentPair:
        """Return noise (K, ...) in which windows have the same numbers where they overlap: those of the earlier one."""
        return LatentPair(_shared(noise.video, self._video), _shared(noise.audio, self._audio))

    def average(self, velocities: Velocities) -> Velocities:
        """Return velocities (K, ...) that are averaged where windows overlap."""
        return Velocities(_averaged(velocities.video, self._video), _averaged(velocities.audio, self._audio))


def ramp(parts: list[_Part], place: int) -> torch.Tensor:
    """Return the weight (n,) of each latent of a window: 1, and towards the edges of overlaps less and less."""
    own = parts[place]
    weight = torch.ones(own.stop - own.start)
    if place:
        shared = max(0, parts[place - 1].stop - own.start)
        weight[:shared] *= torch.arange(1, shared + 1) / (shared + 1)
    if place + 1 < len(parts):
        shared = max(0, own.stop - parts[place + 1].start)
        weight[len(weight) - shared :] *= torch.arange(shared, 0, -1) / (shared + 1)
    return weight


def _averaged(values: torch.Tensor, parts: list[_Part]) -> torch.Tensor:
    length = max(part.stop for part in parts)
    total = values.new_zeros(1, values.shape[1], length, *values.shape[3:])
    weights = values.new_zeros(length)
    shape = (-1, *(1,) * (values.ndim - 3))
    for place, part in enumerate(parts):
        weight = ramp(parts, place).to(values)
        total[:, :, part.outside] += values[place : place + 1, :, part.inside] * weight.view(shape)
        weights[part.outside] += weight
    total /= weights.view(shape)
    made = values.clone()
    for place, part in enumerate(parts):
        made[place, :, part.inside] = total[0, :, part.outside]
    return made


def _shared(values: torch.Tensor, parts: list[_Part]) -> torch.Tensor:
    made = values.clone()
    for place, (before, part) in enumerate(pairwise(parts)):
        shared = before.stop - part.start
        if shared > 0:
            first = part.start - before.start + before.own
            made[place + 1, :, part.own : part.own + shared] = made[place, :, first : first + shared]
    return made
