"""What a user asks of several processes, and what each of them then takes part in."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mova.distributed.layout import Divisible, Layout, check_layout, choose_layout, parse_layout
from mova.errors import ConfigError
from mova.files.json_file import shorten
from mova.generate.request import GenerateRequest
from mova.names import BRIDGE, TOWERS
from mova.settings.sampling import SamplingSettings
from mova.weights.index import checked_fields

if TYPE_CHECKING:
    import torch

    from mova.distributed.mesh import Parallel

logger = logging.getLogger(__name__)

# Four times the GPUs of the largest machine that is sold; each process takes 100 MB before it can find none.
MAX_PROCESSES: Final = 64


@dataclass(frozen=True)
class Processes:
    """How a clip is to be made by several processes.

    Attributes:
        number: in all, 2 or more.
        layout: how they share the work; None leaves it to `choose_layout`.
        shard_weights: whether each holds a part of the weights only.
        launched: whether they are there already (`torchrun`).
    """

    number: int
    layout: Layout | None = None
    shard_weights: bool = False
    launched: bool = False


def read_processes(
    gpus: int | None, layout: str | None, shard_weights: bool, *, started: int | None = None
) -> Processes | None:
    """Check what was asked for, before anything is imported.

    Args:
        gpus: processes, one for each GPU (on a machine without any, they share its CPU); None takes those that
            `torchrun` started, or one.
        layout: as `parse_layout` reads it.
        shard_weights: share the weights.
        started: processes that `torchrun` started; None without it.

    Returns:
        None where one process is to work alone.

    Raises:
        ConfigError: a number below 1 or above `MAX_PROCESSES`, another one than `torchrun` started, or wishes that need
            more than one process.
    """
    number = gpus if gpus is not None else started or 1
    if number < 1:
        raise ConfigError(f"gpus must be 1 or more, got {number}; nearest is 1")
    if number > MAX_PROCESSES and started is None:
        raise ConfigError(
            f"gpus must be at most {MAX_PROCESSES} processes of one machine, got {shorten(number)}; nearest is "
            f"{MAX_PROCESSES}; more than that are started on several machines by torchrun"
        )
    if started is not None and number != started:
        raise ConfigError(f"gpus must be the number of processes that torchrun started, {started}; got {number}")
    chosen = None if layout is None else parse_layout(layout)
    if number == 1:
        if shard_weights:
            raise ConfigError("shard_weights needs several processes to share the weights, got gpus 1; nearest is 2")
        if chosen is not None and chosen.num_processes > 1:
            raise ConfigError(f"layout {chosen} is for {chosen.num_processes} processes, got gpus 1")
        return None
    return Processes(number, chosen, shard_weights, launched=started is not None)


def join(processes: Processes, request: GenerateRequest, folder: Path) -> tuple[Parallel, torch.device]:
    """Take this process's place among the others, which are there already.

    Args:
        processes: as asked for.
        request: what is to be generated.
        folder: the model's directory.

    Returns:
        The place, and the device that computes.

    Raises:
        ConfigError: a layout or a number of processes that does not fit heads, guidance or sizes; fewer GPUs than
            processes. The same on every process, before anything is exchanged.
    """
    from torch import distributed

    from mova.device import own_device
    from mova.distributed.mesh import start_parallel

    place = distributed.get_node_local_rank(0) if processes.launched else distributed.get_rank()
    device = own_device(place, place + 1 if processes.launched else processes.number)
    work = divisible(request, folder)
    layout = processes.layout or choose_layout(processes.number, work, one_group=processes.shard_weights)
    check_layout(layout, processes.number, work)
    parallel = start_parallel(replicate=layout.branches, ring=layout.ring, ulysses=layout.ulysses, device=device)
    if parallel.is_main:
        held = f"shared by {layout.context_size}" if processes.shard_weights else "whole on each"
        logger.info("%d processes on %s: layout %s, weights %s", processes.number, device.type, layout, held)
    return parallel, device


def divisible(request: GenerateRequest, folder: Path) -> Divisible:
    """Return what of a request the processes can share, from configurations alone."""
    towers = {name: checked_fields(folder, name) for name in TOWERS}
    bridge = checked_fields(folder, BRIDGE)
    geometry, placed = request.settings.geometry, request.placed()
    return Divisible(
        heads={name: config.integer("num_heads") for name, config in towers.items()},
        tokens={"video": geometry.num_video_tokens, "audio": geometry.num_audio_latents},
        num_branches=num_branches(request.settings, hold_video=placed.video.is_whole, hold_audio=placed.audio.is_whole),
        shares_tokens=not bridge.flag("pooled_adaln", False),
    )


def num_branches(settings: SamplingSettings, *, hold_video: bool = False, hold_audio: bool = False) -> int:
    """Return how many predictions a guided step needs; a modality that is given is not guided."""
    from mova.pipeline.run_plan import guidance_of

    guidance = guidance_of(settings)
    inside = guidance.interval[1]
    return len(guidance.at(0.0 if hold_video else inside, 0.0 if hold_audio else inside).branches)
