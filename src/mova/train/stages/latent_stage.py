"""What all stages on encoded clips share: which samples a step has, in which parts, and with which noise."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from mova.conditioning.frames import KnownFrames
from mova.data.batch import LatentBatch, LatentSource
from mova.data.clip_record import check_same_clips, joined, record_of
from mova.data.encode import CLIP_PARTS, TEXT_PARTS, fingerprint
from mova.data.known import FrameTask
from mova.data.latents import FILES_MEMORY, open_source, open_splits
from mova.data.sources.base import ClipSource, Split
from mova.distributed.mesh import Parallel
from mova.errors import DataError
from mova.files.json_file import as_fields
from mova.train.config.joint import LatentStageBase
from mova.train.config.run import RunConfig
from mova.train.loop.compute import ENCODED_IN
from mova.train.loop.optimizer import ParameterGroup
from mova.train.loop.sampler import StepSampler
from mova.train.loop.trainer import OnProgress, Progress
from mova.train.steps.draws import StepDraws, sample_noise
from mova.train.steps.objective import SampleCounts
from mova.types import LatentPair
from mova.weights.locate import find_model

VALIDATED_AT_ONCE = 32
_FIRST_LAYERS = ("patch_embedding", "text_embedding", "time_embedding", "time_projection", "head")


@dataclass(frozen=True)
class Part:
    """Some of the samples of an optimiser step: what one process computes at once.

    Attributes:
        places: places of these samples in the step, over all processes.
        batch: the samples.
    """

    places: slice
    batch: LatentBatch


class StepParts:
    """Splits the samples of each optimiser step among data parallel processes and micro-batches (gradient
    accumulation).

    Processes that share a sample (context parallelism) get the same parts.

    Args:
        source: source of encoded clips.
        run: batch size over all processes, micro-batch, seed.
        parallel: this process among the others.

    Raises:
        ConfigError: sizes that do not divide.
    """

    def __init__(self, source: LatentSource, run: RunConfig, parallel: Parallel) -> None:
        self.share, self.micro = run.dealt(parallel.data_size)
        self.source, self.first = source, parallel.data_rank * self.share
        self.sampler = StepSampler(source.facts, run.batch_size, run.seed)

    def counts(self, step: int, draws: StepDraws | None = None) -> SampleCounts:
        """Return how many samples of a step have a video and how many an audio that counts, over all processes."""
        facts = [self.source.facts[index] for index in self.sampler.indices(step)]
        video, audio = ([fact.has_video for fact in facts], [fact.has_audio for fact in facts])
        if draws is not None and draws.video_learned is not None and draws.audio_learned is not None:
            video = [has and learned for has, learned in zip(video, draws.video_learned.tolist(), strict=True)]
            audio = [has and learned for has, learned in zip(audio, draws.audio_learned.tolist(), strict=True)]
        return SampleCounts(sum(video), sum(audio))

    def keys(self, step: int) -> list[str]:
        """Return the names of a step's clips."""
        return [self.source.facts[index].key for index in self.sampler.indices(step)]

    def of(self, step: int, tasks: Sequence[FrameTask | None] = ()) -> Iterator[Part]:
        """Yield this process's parts of a step; `tasks` say which frames of all its samples are known."""
        indices = self.sampler.indices(step)
        for start in range(self.first, self.first + self.share, self.micro):
            places = slice(start, start + self.micro)
            asked = (tasks[places],) if tasks else ()
            yield Part(places, self.source.batch(indices[places], step, *asked))


def noise_of(part: Part, *, seed: int, step: int, device: torch.device) -> LatentPair:
    """Draw the noise of a part's samples."""
    places: Sequence[int] = range(part.places.start, part.places.stop)
    video, audio = (
        sample_noise(latents.shape[1:], seed=seed, step=step, places=places, stream=stream, device=device)
        for stream, latents in (("video", part.batch.video), ("audio", part.batch.audio))
    )
    return LatentPair(video, audio)


def prompts_of(batch: LatentBatch, draws: StepDraws, null_prompt: torch.Tensor) -> torch.Tensor:
    """Return (B, P, D) float32: the empty prompt where the text is left out."""
    dropped = draws.no_text.to(batch.prompts.device)[:, None, None]
    return torch.where(dropped, null_prompt, batch.prompts).float()


def condition_of(batch: LatentBatch, draws: StepDraws, white: torch.Tensor) -> torch.Tensor:
    """Return the known frames as (B, 4 + C, T, h, w) float32: mask, then latents.

    Args:
        batch: B clips.
        draws: which of them have no first frame, or a plain white one.
        white: (C, T, h, w), the condition of a white first frame.
    """
    known = KnownFrames(batch.mask.float(), batch.condition.float())
    return known.with_first_frame(draws.white_image, white.float()).without(draws.no_image).joined()


class OpenSplits:
    """Both splits of a stage's clips, encoded; this process's parts of them.

    Args:
        config: the recipe.
        cache: folder of encoded clips.
        device: device that trains.
        parallel: this process among the others; rank 0 scans and encodes the clips while the others wait.
        on_progress: called while clips are encoded.
        known: tasks for which clips may be asked for.
    """

    def __init__(
        self,
        config: LatentStageBase,
        cache: Path,
        device: torch.device,
        parallel: Parallel,
        on_progress: OnProgress | None = None,
        known: Sequence[FrameTask] = (),
    ) -> None:
        model = find_model(config.encoders) if config.encoders else config.model
        self._data, self._model, self._files = config.data, model, cache / FILES_MEMORY
        opened = open_splits(
            config.data,
            model=model,
            cache=cache,
            device=device,
            compute=config.run.encodes_in,
            online=config.online,
            on_progress=lambda split: show_encoding(on_progress, split),
            parallel=parallel,
            known=known,
        )
        self.train: LatentSource = opened["train"]
        self.validation: LatentSource = opened["validation"]
        parts = {"autoencoders": CLIP_PARTS, "text encoder": TEXT_PARTS}
        self._encoders = parallel.broadcast(lambda: {what: fingerprint(model, names) for what, names in parts.items()})
        self.parts = StepParts(self.train, config.run, parallel)
        self._micro_batch = config.run.micro_batch
        self._precision = opened["train"].precision

    def position(self, step: int) -> dict[str, object]:
        """Return where a run stands in these clips after so many steps, as JSON values."""
        return self.parts.sampler.state_dict(step) | {
            "encoders": self._encoders,
            "validation": record_of(self.validation.facts),
            ENCODED_IN: self._precision,
        }

    def check(self, position: Mapping[str, object]) -> None:
        """Refuse to go on with other clips, or clips encoded otherwise, than those of a saved position.

        Raises:
            DataError: what differs.
        """
        if "validation" in position:
            # Both sides at once: other content may put a clip on the other side.
            check_same_clips(
                joined([position.get("clips"), position["validation"]], where := "the clips of the state"),
                [*self.train.facts, *self.validation.facts],
                where,
                "learned from and was validated with",
            )
        self.parts.sampler.check(position)
        if "encoders" in position:
            saved = as_fields(position["encoders"], "the encoders of the state", error=DataError)
            others = [what for what, weights in self._encoders.items() if saved.values.get(what) != weights]
            if others:
                raise DataError(
                    f"the clips must be encoded as those that the run learned from, got other weights of "
                    f"{' and '.join(others)} (encoders, or model where there is none); restore them, or begin in a "
                    "new folder"
                )

    def held_out_clips(self) -> ClipSource:
        """Return the clips of the validation before they were encoded."""
        return open_source(self._data, "validation", self._model, self._files)

    def validation_parts(self) -> Iterator[Part]:
        """Yield the held-out clips, the same for every process: always in the same order, a few at a time."""
        facts = self.validation.facts
        for bucket in sorted({fact.bucket for fact in facts}):
            members = [index for index, fact in enumerate(facts) if fact.bucket == bucket]
            for chosen in held_out_groups(members, self._micro_batch):
                yield Part(slice(chosen[0], chosen[0] + len(chosen)), self.validation.batch(chosen))


def held_out_groups(members: Sequence[int], micro_batch: int | None) -> list[Sequence[int]]:
    """Split held-out clips into groups that are computed at once: two at least, which the dependence metric compares.

    Args:
        members: indices of clips of one size.
        micro_batch: what a step computes at once: a validation, which keeps nothing for a backward pass, has room for
            two clips where a step has room for one. None where the memory does not matter.
    """
    at_once = VALIDATED_AT_ONCE if micro_batch is None else min(max(micro_batch, 2), VALIDATED_AT_ONCE)
    groups = [members[start : start + at_once] for start in range(0, len(members), at_once)]
    if micro_batch is not None and len(groups) > 1 and len(groups[-1]) == 1:
        # Rather one more at once than a clip without another.
        groups[-2:] = [members[-1 - at_once :]]
    return groups


def show_encoding(on_progress: OnProgress | None, split: Split) -> Callable[[int, int], None] | None:
    """Return what tells a progress bar how many clips of a split are encoded, how fast, and how long it will take."""
    if on_progress is None:
        return None
    begun_s = 0.0

    def show(done: int, total: int) -> None:
        nonlocal begun_s
        now = time.monotonic()
        begun_s = now if done == 0 else begun_s
        minutes = (now - begun_s) / 60
        left = {"minutes left": minutes / done * (total - done)} if done else {}
        rate = done / (60 * minutes) if minutes else 0.0
        on_progress(Progress(f"latents of {split}", done, total, minutes, left, rate))

    return show


def tower_groups(name: str, tower: nn.Module) -> list[ParameterGroup]:
    """Blocks apart from embeddings and head, whose rows are no features for Muon; frozen parameters are left out."""
    named = [(key, parameter) for key, parameter in tower.named_parameters() if parameter.requires_grad]
    return [
        ParameterGroup(f"{name} blocks", [p for key, p in named if not key.startswith(_FIRST_LAYERS)]),
        ParameterGroup(f"{name} ends", [p for key, p in named if key.startswith(_FIRST_LAYERS)], matrices=False),
    ]
