"""diffusers' UniPC with a schedule for each modality, beside the one of this package.

    .venv/bin/python benchmarks/probe_unipc.py

Figures of docs/decisions/0008-unipc.md: how far the latents differ, how many operations and how much time a step of
both modalities takes, and what one scheduler does with two columns of noise levels.
"""

from __future__ import annotations

import sys
import time

import numpy as np
import torch
from diffusers import UniPCMultistepScheduler
from torch.utils._python_dispatch import TorchDispatchMode

from mova.diffusion.sampler import UniPCSampler
from mova.diffusion.schedule import PairedFlowMatchScheduler, PairedSchedule
from mova.types import LatentPair, Velocities

STEPS = 20
# Latents of a small clip, and of 193 frames at 640x352.
SIZES = {
    "small": ((1, 16, 3, 4, 6), (1, 8, 25)),
    "193 frames of 640x352": ((1, 16, 49, 44, 80), (1, 128, 403)),
}


class Counter(TorchDispatchMode):
    """Counts operations, and among them solutions of systems and copies to another device."""

    def __init__(self) -> None:
        super().__init__()
        self.all = self.solved = self.sent = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # noqa: ANN001, ANN204
        name = str(func)
        self.all += 1
        self.solved += "linalg_solve" in name
        wanted = (kwargs or {}).get("device")
        self.sent += "_to_copy" in name and wanted is not None and torch.device(wanted) != args[0].device
        return func(*args, **(kwargs or {}))


def scheduler(sigmas: object) -> UniPCMultistepScheduler:
    made = UniPCMultistepScheduler(
        solver_order=2, prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=1.0
    )
    made.set_timesteps(sigmas=sigmas)
    made.set_begin_index(0)
    return made


class Theirs:
    """Two schedulers of diffusers, one for each modality."""

    def __init__(self, schedule: PairedSchedule) -> None:
        columns = (schedule.video_sigmas, schedule.audio_sigmas)
        self._pair = [scheduler(sigmas[:-1].double().numpy()) for sigmas in columns]

    def step(self, index: int, latents: LatentPair, velocities: Velocities) -> LatentPair:
        moved = [
            one.step(velocity, one.timesteps[index], value, return_dict=False)[0]
            for one, velocity, value in zip(
                self._pair, (velocities.video, velocities.audio), (latents.video, latents.audio), strict=True
            )
        ]
        return LatentPair(video=moved[0], audio=moved[1])


class Still:
    """Moves nothing."""

    def step(self, _: int, latents: LatentPair, __: Velocities) -> LatentPair:
        return latents


def bent(latents: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    return latents.sin() + float(sigma) ** 2 - 0.3 * latents


def sampled(
    sampler: Theirs | UniPCSampler | Still, schedule: PairedSchedule, start: LatentPair
) -> tuple[LatentPair, float]:
    """Return the last latents, and the seconds of a step."""
    latents, seconds = start, 0.0
    for index in range(STEPS):
        velocities = Velocities(
            video=bent(latents.video, schedule.video_sigmas[index]),
            audio=bent(latents.audio, schedule.audio_sigmas[index]),
        )
        begun = time.perf_counter()
        latents = sampler.step(index, latents, velocities)
        seconds += time.perf_counter() - begun
    return latents, seconds / STEPS


def sent(kind: type[Theirs] | type[UniPCSampler], schedule: PairedSchedule, shapes: tuple[tuple[int, ...], ...]) -> int:
    """Return how often something goes from the host to the device of the latents, which is one without memory here."""
    latents = LatentPair(*(torch.empty(shape, device="meta") for shape in shapes))
    sampler = kind(schedule)
    with Counter() as counter:
        for index in range(STEPS):
            latents = sampler.step(index, latents, Velocities(video=latents.video, audio=latents.audio))
    return counter.sent


def difference(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one - other).abs().max() / other.abs().max())


def main() -> None:
    schedule = PairedFlowMatchScheduler(shift=5.0, sigma_min=0.0, extra_one_step=True).make_schedule(STEPS)
    sys.stdout.write(
        "| latents | sampler | operations of a step | systems solved | copies to the device | ms of a step | off by |\n"
    )
    sys.stdout.write("| --- | --- | --- | --- | --- | --- | --- |\n")
    for size, shapes in SIZES.items():
        generator = torch.Generator().manual_seed(0)
        start = LatentPair(*(torch.randn(shape, generator=generator) for shape in shapes))
        expected, _ = sampled(Theirs(schedule), schedule, start)
        for name, kind in (("two of diffusers", Theirs), ("this package", UniPCSampler)):
            with Counter() as counter:
                sampled(kind(schedule), schedule, start)
            # What the velocities of this script take is not the sampler's.
            with Counter() as beside:
                sampled(Still(), schedule, start)
            own = counter.all - beside.all
            found, _ = sampled(kind(schedule), schedule, start)
            ms = 1000 * min(sampled(kind(schedule), schedule, start)[1] for _ in range(3))
            off = max(difference(found.video, expected.video), difference(found.audio, expected.audio))
            counts = (own / STEPS, counter.solved / STEPS, sent(kind, schedule, shapes) / STEPS)
            cells = [*(f"{count:.1f}" for count in counts), f"{ms:.2f}", f"{off:.0e}"]
            sys.stdout.write(f"| {size} | {name} | {' | '.join(cells)} |\n")
    both = np.stack([schedule.video_sigmas[:-1].double().numpy(), schedule.audio_sigmas[:-1].double().numpy()], 1)
    try:
        one = scheduler(both)
        said = str(one.step(torch.zeros(2, 4), one.timesteps[0], torch.zeros(2, 4)).prev_sample.shape)
    except Exception as error:
        said = f"{type(error).__name__}: {str(error).splitlines()[0]}"
    sys.stdout.write(f"\nOne scheduler with two columns: {said}\n")


if __name__ == "__main__":
    main()
