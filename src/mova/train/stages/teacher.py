"""A frozen model that goes on saying what it knows, while another one learns more (prior preservation).

Where a model learns further tasks, the ones it has are forgotten: the clips' own velocities bring them back slowly,
because most of what they say of one clip at one noise level is chance. What the earlier model says is the mean of it.
"""

from __future__ import annotations

import torch

from mova.conditioning.frames import KnownFrames
from mova.data.batch import LatentBatch
from mova.device import Compute
from mova.models.experts import Experts, pair_towers
from mova.names import COMPONENTS, Expert, published_class
from mova.train.build.components import component_folder, refuse_quantized
from mova.train.steps.draws import StepDraws
from mova.train.steps.objective import Draws, JointForward, TrainingBatch, cast_forward, clip_velocities, predict
from mova.types import LatentPair, Velocities
from mova.weights.components import load_component
from mova.weights.locate import find_model


class Teacher:
    """A frozen model that says what is to be learned.

    Args:
        model: a shipped name, a directory or a hub id.
        device: device that computes.
        computes_in: precision of its matrix products.

    Raises:
        CheckpointError: a component is missing, damaged, quantised or of another class.
    """

    def __init__(self, model: str, device: torch.device, computes_in: Compute) -> None:
        self.device, self.computes_in = device, computes_in
        base = find_model(model)
        components = {}
        for name in COMPONENTS:
            folder = component_folder(str(base), name, base)
            refuse_quantized(folder)
            component = load_component(folder, expected_class=published_class(name), dtype=torch.float32)
            components[name] = component.requires_grad_(False).to(device).eval()
        self.experts = Experts(pair_towers(components))

    def forward(self, expert: Expert, use_bridge: bool, frame_rate: float) -> JointForward:
        """Return the joint forward of an expert at a frame rate, without gradients."""

        return torch.no_grad()(
            cast_forward(self.experts, expert, self.device, self.computes_in, frame_rate, use_bridge)
        )


def taught_velocities(
    forward: JointForward, chosen: StepDraws, clips: LatentBatch, batch: TrainingBatch, draws: Draws
) -> Velocities:
    """Return the velocities that are learned: the teacher's where it knows the task, else the clips' own.

    It is always given the first frame. A sample without one learns from it too: the mean of what it says, over all
    first frames that a caption may have, is what is right for the caption alone. Where other frames are known or a
    modality is held, nobody has taught it.

    Args:
        forward: the teacher's joint forward.
        chosen: choices of these samples.
        clips: B samples with the first frames that are known of them.
        batch: what the student is given of them.
        draws: noise and noise levels.

    Returns:
        (B, C, T, h, w) and (B, C, A) float32.
    """
    targets = clip_velocities(batch, draws)
    rows = _ordinary(chosen, len(clips)).nonzero()[:, 0].to(batch.condition.device)
    if not len(rows):
        return targets
    frames = KnownFrames(clips.mask.float(), clips.condition.float()).joined()
    part = TrainingBatch(
        clean=LatentPair(batch.clean.video[rows], batch.clean.audio[rows]),
        condition=frames[rows],
        prompt_embeds=batch.prompt_embeds[rows],
    )
    noise = LatentPair(draws.noise.video[rows], draws.noise.audio[rows])
    said = predict(forward, part, Draws(noise, draws.video_sigma[rows], draws.audio_sigma[rows]))
    return Velocities(
        targets.video.float().index_copy(0, rows, said.video.float()),
        targets.audio.float().index_copy(0, rows, said.audio.float()),
    )


def _ordinary(chosen: StepDraws, count: int) -> torch.Tensor:
    """Return (B,) bool: samples of which no other frame than the first is known and no modality is held."""
    known = torch.tensor([task is None for task in chosen.tasks] or [True] * count)
    for learned in (chosen.video_learned, chosen.audio_learned):
        if learned is not None:
            known &= learned
    return known
