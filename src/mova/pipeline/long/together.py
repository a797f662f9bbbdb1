"""All windows of a long clip made together, as the clips of one batch that agree on what they share."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from mova.conditioning.windows import Window, WindowPlan
from mova.errors import NumericalError
from mova.pipeline.inputs.media import GivenMedia, GivenNoise
from mova.pipeline.long.given import LongInputs, Watch, WindowAttempt, WindowReport, window_seed
from mova.pipeline.long.joint import Agreement
from mova.pipeline.long.store import StoredWindow, WindowStore
from mova.pipeline.loop.control import Control, ControlledRun
from mova.pipeline.run_plan import RunPlan, Start
from mova.types import LatentPair

if TYPE_CHECKING:
    from mova.codecs.prompt import CutPrompt
    from mova.pipeline.loop.velocity import TextConditions
    from mova.pipeline.output import CallCount
    from mova.pipeline.pipeline import MovaPipeline
    from mova.settings.sampling import SamplingSettings

STATE_EVERY = 2
"""Steps between two states on disk: a step of all windows is long."""


@torch.no_grad()
def make_together(
    pipeline: MovaPipeline,
    settings: SamplingSettings,
    plan: WindowPlan,
    inputs: LongInputs,
    store: WindowStore | None,
    watch: Watch,
) -> tuple[list[StoredWindow], CallCount, tuple[CutPrompt, ...]]:
    """Make all windows of a clip.

    Args:
        pipeline: that makes them.
        settings: of a window.
        plan, inputs: of the clip.
        store: keeps the state of the loop, and has that of a run that was interrupted.
        watch: told about steps.

    Returns:
        The windows, what was asked of the model, and prompts that were too long.

    Raises:
        NumericalError: latents that are not finite, whatever the seed.
        StoppedError: the control asked for it.
    """
    prompts = [inputs.prompts.text_of(window, plan, inputs.offset_s(plan.clip)) for window in plan.windows]
    attempts: list[WindowAttempt] = []
    for number in range(inputs.retries + 1):
        seeds = [window_seed(inputs.seed, window.index, number) for window in plan.windows]
        try:
            with pipeline.turn():
                run, text, start = _prepared(pipeline, settings, plan, inputs, prompts, seeds)
                latents, calls = pipeline.denoise(
                    run,
                    text,
                    start,
                    clip_by_clip=True,
                    on_step_end=lambda _, step, *__: watch.on_step(0, step + 1),
                    controlled=ControlledRun(_control(inputs, store, number), {}, pipeline.parallel),
                    couple=Agreement(plan).average,
                )
        except NumericalError as error:
            attempts.append(WindowAttempt(seeds[0], "not finite", str(error)))
            if number == inputs.retries:
                raise
            continue
        made = [
            _stored(window, latents, inputs.report(plan, window, prompt, seed, tuple(attempts)))
            for window, prompt, seed in zip(plan.windows, prompts, seeds, strict=True)
        ]
        return made, calls, text.cut
    raise AssertionError("the last attempt returns or raises")


def _prepared(
    pipeline: MovaPipeline,
    settings: SamplingSettings,
    plan: WindowPlan,
    inputs: LongInputs,
    prompts: list[str],
    seeds: list[int],
) -> tuple[RunPlan, TextConditions, Start]:
    """Return the plan of the batch, its texts, and what it starts from."""
    noise = GivenNoise(seed=seeds, index=[inputs.index] * len(seeds))
    run = pipeline.check_inputs(settings, GivenMedia(), noise, prompts, None, 1, "latent")
    device = pipeline.run_device

    def start() -> Start:
        first = GivenNoise(seed=seeds[:1], index=[inputs.index])
        # Windows behind the first one begin in the middle: of them no frame is known.
        rows = [_begun(pipeline, settings, inputs.media, first, prompts[0])]
        if len(seeds) > 1:
            rows += [_begun(pipeline, settings, GivenMedia(), first, prompts[0])] * (len(seeds) - 1)
        drawn, numbers = noise.draw(run.geometry, len(seeds))
        shared = Agreement(plan).share_noise(LatentPair(drawn.video.to(device), drawn.audio.to(device)))
        condition = torch.cat([row.condition for row in rows])
        return Start(latents=shared, condition=condition, given_frames=None, given_audio=None, seeds=numbers)

    text, started = pipeline.prepare(lambda: (pipeline.encode_prompt(run, prompts, inputs.negative_prompt), start()))
    return run, text, started


def _begun(
    pipeline: MovaPipeline, settings: SamplingSettings, media: GivenMedia, noise: GivenNoise, prompt: str
) -> Start:
    single = pipeline.check_inputs(settings, media, noise, prompt, None, 1, "latent")
    return pipeline.prepare_latents(single, media, noise)


def _control(inputs: LongInputs, store: WindowStore | None, attempt: int) -> Control:
    control = inputs.control or Control()
    if store is None:
        return control
    # The state of an attempt that failed is none to go on from.
    return replace(
        control,
        resume_from=None if attempt else store.load_steps(),
        save_state=store.save_steps,
        every=STATE_EVERY,
    )


def _stored(window: Window, latents: LatentPair, report: WindowReport) -> StoredWindow:
    row = slice(window.index, window.index + 1)
    return StoredWindow(
        latents.video[row, :, window.known : window.kept - window.start].cpu(),
        latents.audio[row, :, window.known_audio : window.audio_kept - window.audio_start].cpu(),
        window.audio_kept - window.audio_start - window.known_audio,
        report,
    )
