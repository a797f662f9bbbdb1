"""What a run would learn from, looked at before it: list, captions, lengths, sizes, splits, cache. Writes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from mova.data.cache import LatentCache
from mova.data.cache_plan import CachePlan, Missing, plan_splits
from mova.data.cache_size import EncodedSizes, held_bytes, sizes_from_configs, sizes_from_directory
from mova.data.config import MediaDataConfig, ToyDataConfig
from mova.data.encode import CLIP_PARTS, TEXT_PARTS, Encoding, sample_rate_of
from mova.data.known import FrameTask
from mova.data.latents import FILES_MEMORY, SPLITS
from mova.data.sources.base import Split
from mova.data.sources.files import MediaSource
from mova.data.sources.scan import ScannedClips, named, scan_clips
from mova.data.sources.toy import FRAME_RATE
from mova.device import choose_device
from mova.errors import CheckpointError, DataError
from mova.plan.published import find_configs
from mova.train.config import LatentsConfig, StepConfig
from mova.train.config.joint import AdapterStageConfig, JointObjectiveConfig, LatentStageBase
from mova.weights.locate import local_model

_USUAL_RATE = 48_000


@dataclass(frozen=True)
class DataCheck:
    """What was found out about the clips of a stage.

    Attributes:
        lines: for people.
        host_bytes: bytes of clips and captions that would be kept in host memory.
    """

    lines: Sequence[str]
    host_bytes: int


def check_data(config: StepConfig, cache: Path) -> DataCheck | None:
    """Look at a stage's clips as its run would, and refuse what the run would refuse.

    Args:
        config: configuration of the stage.
        cache: folder of encoded clips.

    Returns:
        None for a stage that does not learn from encoded clips.

    Raises:
        DataError: the clips cannot be used, or there is no room to encode them.
    """
    if not isinstance(config, (LatentStageBase, LatentsConfig)):
        return None
    encoders = _encoders(config)
    model = _on_this_disk(encoders)
    sizes, known = _sizes(encoders, model), _known(config)
    if isinstance(config.data, ToyDataConfig):
        return _check_toy(config.data, sizes, len(known))
    clips = scan_clips(config.data, cache / FILES_MEMORY, remember=False)
    rate = _USUAL_RATE if model is None else sample_rate_of(model)
    sources = {split: MediaSource(config.data, split, rate, clips=clips) for split in SPLITS}
    lines = [*_describe(config.data, clips, sources), _captions(sources, model)]
    if model is None:
        lines.append(f"encoders: {encoders} has none on this disk yet; lengths of captions and cache are not checked")
    elif not (isinstance(config, LatentStageBase) and config.online):
        plans = plan_splits(sources, _encoding(config, model), LatentCache(cache), known)
        lines.append(_cache(list(plans.values())))
    held = 0
    if sizes is not None:
        held = _held(sources["train"], sizes, len(known)) + _held(sources["validation"], sizes, 0)
    return DataCheck(lines, held)


def _known(config: LatentStageBase | LatentsConfig) -> Sequence[FrameTask]:
    """Return the tasks for which known frames are encoded beside the clips to learn from."""
    if isinstance(config, LatentsConfig):
        return config.known
    return tuple(config.conditions.frames()) if isinstance(config, JointObjectiveConfig) else ()


def _encoders(config: LatentStageBase | LatentsConfig) -> str:
    """Return where the encoders of a stage are: those it names, those of a base that it adapts, or the run's own."""
    if isinstance(config, LatentStageBase) and config.encoders:
        return config.encoders
    return config.base if isinstance(config, AdapterStageConfig) else str(config.model)


def _encoding(config: LatentStageBase | LatentsConfig, model: Path) -> Encoding:
    """Return how a stage would encode; a device that is not there is told of where the run starts."""
    device, compute = (
        (config.run.device, config.run.compute)
        if isinstance(config, LatentStageBase)
        else (config.device, config.compute)
    )
    return Encoding(model, choose_device(None) if device == "auto" else torch.device(device), compute)


def _on_this_disk(encoders: str) -> Path | None:
    """Return the directory of the encoders, or None: a look at the data downloads nothing."""
    model = local_model(encoders)
    if model is None:
        return None
    return model if all(any((model / part).glob("[!.]*")) for part in (*CLIP_PARTS, *TEXT_PARTS)) else None


def _sizes(encoders: str, model: Path | None) -> EncodedSizes | None:
    try:
        return sizes_from_directory(model) if model else sizes_from_configs(find_configs(encoders))
    except CheckpointError:
        return None


def _check_toy(data: ToyDataConfig, sizes: EncodedSizes | None, num_known: int) -> DataCheck:
    counts = (data.num_clips, data.validation_clips)
    line = f"clips: {counts[0]} scenes to learn from, {counts[1]} for validation, of {data.size}x{data.size}"
    if sizes is None:
        return DataCheck([line], 0)
    clip = sizes.clip_bytes((data.size, data.size), data.num_frames, FRAME_RATE)
    known = [clip // 2] * (num_known * data.num_clips)
    encoded = sizes.files_bytes([clip] * sum(counts) + known, sum(counts))
    # Captions that are the same count once; how many are is not looked at.
    held = sum(
        held_bytes(count * clip, count * sizes.text_bytes, beside)
        for count, beside in zip(counts, (sum(known), 0), strict=True)
    )
    return DataCheck([line, f"cache: at most {_gb(encoded)} when it is full"], held)


def _describe(data: MediaDataConfig, clips: ScannedClips, sources: Mapping[Split, MediaSource]) -> list[str]:
    left_out = f", {clips.num_left_out} left out: {clips.reasons()}" if clips.num_left_out else ""
    lengths = [found.duration_s for _, found in clips.usable]
    span_s = data.num_frames / data.frame_rate
    short = [item.key for item, found in clips.usable if found.duration_s < span_s - 0.5 / data.frame_rate]
    buckets = Counter(entry.bucket for source in sources.values() for entry in source.entries)
    files = {item.place for item, _ in clips.usable}
    return [
        f"clips: {clips.total} in {data.path}, {len(clips.usable)} usable in {len(files)} files{left_out}",
        f"split: {len(sources['train'].entries)} to learn from, {len(sources['validation'].entries)} for validation"
        + (f", {data.views} spans of each clip" if data.views > 1 else ""),
        f"lengths: {min(lengths):.2f} to {max(lengths):.2f} s, of which {span_s:.2f} s are learned from at once"
        + (f"; {len(short)} shorter, masked past their end ({named(short)})" if short else ""),
        "sizes: " + ", ".join(f"{buckets[index]} of {size}" for index, size in enumerate(data.sizes) if buckets[index]),
    ]


def _captions(sources: Mapping[Split, MediaSource], model: Path | None) -> str:
    entries = [entry for source in sources.values() for entry in source.entries]
    different = list(dict.fromkeys(entry.caption for entry in entries))
    line = f"captions: {len(different)} different"
    if model is None:
        return line
    from mova.codecs.prompt import find_cut_prompts, load_tokenizer, max_prompt_tokens

    tokenizer = load_tokenizer(model / "tokenizer")
    cut = find_cut_prompts(tokenizer, different)
    return f"{line}, {len(cut) or 'none'} longer than {max_prompt_tokens(tokenizer)} tokens" + (
        ", cut there" if cut else ""
    )


def _cache(plans: Sequence[CachePlan]) -> str:
    """Say what a cache holds already and what is missing, and refuse a disk that is too full for it."""
    cache, missing = plans[0].cache, [plan.missing() for plan in plans]
    clips = len({key for plan in plans for key in plan.clip_keys})
    texts = len({key for plan in plans for key in plan.text_keys.values()})
    all_missing = Missing(
        [index for one in missing for index in one.clips], (), sorted({text for one in missing for text in one.texts})
    )
    needed = sum(plan.bytes_of(one) for plan, one in zip(plans, missing, strict=True))
    free = cache.free_bytes()
    if needed > free:
        raise DataError(
            f"{len(all_missing.clips)} clips and {len(all_missing.texts)} captions to encode take {_gb(needed)} in "
            f"{cache.folder}, got {_gb(free)} free; make room, or choose another disk (--cache)"
        )
    return (
        f"cache: {clips - len(all_missing.clips)} of {clips} clips and {texts - len(all_missing.texts)} of {texts} "
        f"captions are in {cache.folder}; the others take {_gb(needed)} of {_gb(free)} free"
    )


def _held(source: MediaSource, sizes: EncodedSizes, num_known: int) -> int:
    shape = (source.num_frames, source.frame_rate)
    clips = {entry.identity: sizes.clip_bytes(source.sizes[entry.bucket], *shape) for entry in source.entries}
    captions = len({entry.caption for entry in source.entries}) * sizes.text_bytes
    return held_bytes(sum(clips.values()), captions, num_known * sum(one // 2 for one in clips.values()))


def _gb(count: int) -> str:
    return f"{count / 1e9:.2f} GB"
