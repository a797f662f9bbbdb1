"""One generation on several processes: who prepares, who evaluates which branch of the guidance, who decodes what.

Rank 0 encodes texts and known frames and draws the noise, so that all start from the same numbers. All
follow the same schedule on their part of tokens, weights and branches, and have the same latents after every step. Each
decodes a band of the video; rank 0 puts the bands together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import distributed, nn

from mova.codecs.video import decode_video
from mova.codecs.video_bands import can_decode_bands, decode_band, split_bands
from mova.diffusion.denoise import VelocityFunction
from mova.diffusion.guidance import Branch
from mova.distributed.collectives import gather_on_first
from mova.distributed.context_parallel import ContextParallel
from mova.distributed.layout import Layout
from mova.distributed.mesh import Parallel, start_parallel
from mova.errors import ConfigError
from mova.models.experts import ExpertForward, Experts, pair_towers
from mova.names import COMPONENTS, EXPERTS, Expert
from mova.pipeline.loop.velocity import JointModel, TextConditions, VelocityModel
from mova.pipeline.run_plan import Start
from mova.types import LatentPair, Velocities

if TYPE_CHECKING:
    from diffusers import AutoencoderKLWan

Prepared = tuple[TextConditions, Start]
Decode = Callable[[Any, torch.Tensor], torch.Tensor]
"""From an autoencoder and normalised latents to frames, as `decode_video`."""


@dataclass(frozen=True, eq=False)
class Spread:
    """The processes of a pipeline; by default this one is alone.

    Attributes:
        parallel: this process among the others. `replicate` counts the groups that evaluate different branches.
        context: the hooks by which a group shares tokens.
        experts: joint models whose weights are sharded; None where every process has whole towers.
    """

    parallel: Parallel = field(default_factory=Parallel)
    context: ContextParallel | None = None
    experts: Experts | None = None

    @property
    def is_main(self) -> bool:
        """Whether frames and audio are made here."""
        return self.parallel.is_main

    def prepare(self, make: Callable[[], Prepared], device: torch.device) -> Prepared:
        """Make what the loop starts from on rank 0, and broadcast it to every process.

        Args:
            make: called on rank 0; what it raises is raised on every process.
            device: where the others want it. A video or audio that was given stays on rank 0.
        """
        if self.parallel.mesh is None:
            return make()
        own: list[Prepared] = []

        def prepared() -> Prepared:
            text, start = make()
            own.append((text, start))
            bare = replace(start, given_frames=None, given_audio=None, kept_frames=None, kept_audio=None)
            return _moved((text, bare), torch.device("cpu"))

        sent = self.parallel.broadcast(prepared)
        return own[0] if own else _moved(sent, device)

    def velocities(self, model: VelocityModel) -> VelocityFunction:
        """Return what the loop asks for velocities: all branches here, or each group its own."""
        if self.parallel.mesh is not None:
            # All processes must make the same calls, and each has other memory free.
            model = replace(model, free_bytes=None)
        return model if self.parallel.replicate == 1 else _SplitBranches(model, self.parallel)

    def decode_picture(
        self, vae: AutoencoderKLWan, start: Start, latents: torch.Tensor, decode: Decode = decode_video
    ) -> torch.Tensor | None:
        """Return the frames of clips: those that were given, or decoded by all processes together.

        Args:
            vae: video autoencoder; every process has it.
            start: may hold given frames, on rank 0.
            latents: (B, C, T, h, w) normalised, the same on every process.
            decode: how one process alone decodes them.

        Returns:
            (B, 3, F, H, W) in [-1, 1]; None on all processes but rank 0.
        """
        given = start.given_frames
        if not self.parallel.broadcast(lambda: given is None):
            return given
        # One clip at a time: the decoder's activations are the largest of the run.
        clips = [self._decode_one(vae, one, decode) for one in latents.split(1)]
        return torch.cat([clip for clip in clips if clip is not None]) if self.is_main else None

    def _decode_one(self, vae: AutoencoderKLWan, latents: torch.Tensor, decode: Decode) -> torch.Tensor | None:
        bands = split_bands(latents.shape, self.parallel.world_size) if can_decode_bands(vae) else []
        rank = self.parallel.rank
        if len(bands) < 2:
            return decode(vae, latents) if rank == 0 else None
        lengths = [0] * self.parallel.world_size
        for index, band in enumerate(bands):
            lengths[index] = (band.stop - band.start) * int(vae.config.scale_factor_spatial)
        part = decode_band(vae, latents, bands[rank]) if rank < len(bands) else latents
        assert distributed.group.WORLD is not None, "several processes have a group"
        return gather_on_first(part, lengths, distributed.group.WORLD, bands[0].dim)


@dataclass(frozen=True, eq=False)
class _SplitBranches:
    """Branches of the guidance on different groups of processes; a `VelocityFunction`.

    A group is rank // (processes of a group); those at the same place of each group exchange what they predicted.
    """

    model: VelocityModel
    parallel: Parallel

    def __call__(
        self,
        branches: Sequence[Branch],
        latents: LatentPair,
        video_timestep: torch.Tensor,
        audio_timestep: torch.Tensor,
        expert: Expert,
    ) -> Sequence[Velocities]:
        """Return one prediction per branch, the same on every process."""
        count = self.parallel.replicate
        own = branches[self.parallel.data_rank :: count]
        made = self.model(own, latents, video_timestep, audio_timestep, expert) if own else ()
        sizes = [latents.video.numel(), latents.audio.numel()]
        # A group with fewer branches than another, or none, sends zeros that nobody reads.
        sent = latents.video.new_zeros(-(-len(branches) // count), sum(sizes), dtype=torch.float32)
        for row, velocities in zip(sent, made, strict=False):
            row.copy_(torch.cat([velocities.video.flatten(), velocities.audio.flatten()]))
        received = [torch.empty_like(sent) for _ in range(count)]
        assert self.parallel.mesh is not None, "several processes have a mesh"
        distributed.all_gather(received, sent, group=self.parallel.mesh["replicate"].get_group())
        parts = [received[index % count][index // count].split(sizes) for index in range(len(branches))]
        return [Velocities(video.view_as(latents.video), audio.view_as(latents.audio)) for video, audio in parts]


class SpreadPipelineMixin:
    """What a pipeline can do with several processes. Its towers and bridge are named as in `COMPONENTS`."""

    _spread: Spread = Spread()
    _shared_components: ClassVar[tuple[str, ...]] = COMPONENTS

    @property
    def parallel(self) -> Parallel:
        """This process among those that generate together."""
        return self._spread.parallel

    def enable_parallelism(self, *, branches: int = 1, ring: int = 1, ulysses: int = 1) -> None:
        """Share every later call with the other processes; all of them must make this call and those.

        The processes are those of the process group that there is, or those that `torchrun` started; neighbours in rank
        share a sample. Every process gives the same arguments to the pipeline. The main one encodes and draws the noise
        (other processes' generators are not used); with output_type "latent" all processes get all latents, with any
        other rank 0 gets frames and audio and the others None. Callbacks are called on every process.

        Args:
            branches: groups of processes that evaluate different branches of the guidance.
            ring, ulysses: processes of a group; the product of all three is the number of processes.

        Raises:
            ConfigError: another number of processes, or a Ulysses degree that the heads forbid.
        """
        layout = Layout(branches=branches, ring=ring, ulysses=ulysses)
        device: torch.device = getattr(self, "device")  # noqa: B009 - of the pipeline that this is mixed into
        parallel = start_parallel(replicate=layout.branches, ring=layout.ring, ulysses=layout.ulysses, device=device)
        self.spread_over(parallel)

    def disable_parallelism(self) -> None:
        """Let this process compute alone again.

        Raises:
            ConfigError: the weights are sharded.
        """
        if self._spread.experts is not None:
            raise ConfigError("a pipeline with sharded weights cannot be used by one process; load it again")
        if self._spread.context is not None:
            self._spread.context.remove()
        self._spread = Spread()

    def spread_over(self, parallel: Parallel, experts: Experts | None = None) -> None:
        """Share every later call as `enable_parallelism` does, with processes that are known to each other already.

        Args:
            parallel: this process among them; `replicate` counts the groups that evaluate different branches.
            experts: joint models of the components, whose weights are sharded; None where they are whole.

        Raises:
            ConfigError: a Ulysses degree that the heads forbid, or weights that are sharded already.
        """
        self.disable_parallelism()
        self._spread = Spread(parallel, ContextParallel(self._present_components(), parallel), experts)

    def _present_components(self) -> dict[str, nn.Module]:
        found: Mapping[str, Any] = {name: getattr(self, name) for name in self._shared_components}
        return {name: module for name, module in found.items() if module is not None}

    def _joint_models(self) -> Mapping[Expert, JointModel]:
        """Return the joint forward of each expert."""
        experts = self._spread.experts
        if experts is not None:
            return {expert: ExpertForward(experts, expert) for expert in EXPERTS}
        return pair_towers(self._present_components())


def _moved(prepared: Prepared, device: torch.device) -> Prepared:
    text, start = prepared
    negative = None if text.negative is None else text.negative.to(device)
    return (
        replace(text, positive=text.positive.to(device), negative=negative),
        replace(
            start,
            latents=LatentPair(start.latents.video.to(device), start.latents.audio.to(device)),
            condition=start.condition.to(device),
            holds=None if start.holds is None else start.holds.to(device),
        ),
    )
