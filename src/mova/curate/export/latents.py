"""Clips and captions of shards through a model's encoders, into a cache that a training finds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mova.curate.config.export import LatentsSection
from mova.errors import DataError


def cache_latents(
    section: LatentsSection, shards: Path, cache: Path, on_progress: Callable[[int, int], None] | None = None
) -> int:
    """Encode what the cache lacks.

    Args:
        section: of the recipe.
        shards: folder of the tar files.
        cache: folder of encoded clips.
        on_progress: called with (clips done, clips in all) of each split.

    Returns:
        How many clips of the shards the cache holds.

    Raises:
        CheckpointError: there is no such model, or it lacks an encoder.
        DataError: too few clips for the two splits of a training, clips that cannot be encoded, or no space.
    """
    # Torch takes seconds to load, and an export without latents does not need it.
    from mova.data.cache import LatentCache
    from mova.data.cache_plan import plan_splits
    from mova.data.config import MediaDataConfig
    from mova.data.encode import Encoding, sample_rate_of
    from mova.data.latents import FILES_MEMORY, SPLITS
    from mova.data.sources.files import MediaSource
    from mova.data.sources.scan import scan_clips
    from mova.device import choose_device
    from mova.weights.locate import find_model

    model = find_model(section.model)
    data = MediaDataConfig.model_validate(
        {
            "source": "shards",
            "path": shards,
            "min_frames": min(25, section.num_frames),
            **{name: getattr(section, name) for name in ("sizes", "num_frames", "validation_clips", "workers")},
        }
    )
    clips = scan_clips(data, cache / FILES_MEMORY)
    encoding = Encoding(model, choose_device(section.device), section.compute)
    rate = sample_rate_of(model)
    sources = {split: MediaSource(data, split, rate, clips=clips) for split in SPLITS}
    held = 0
    for split, plan in plan_splits(sources, encoding, LatentCache(cache)).items():
        failed, source = plan.fill(encoding, section.workers, on_progress), sources[split]
        if failed:
            index, reason = next(iter(failed.items()))
            raise DataError(
                f"{len(failed)} clips of {shards} must be encoded and cannot be, for example "
                f"{source.entries[index].key}: {reason}"
            )
        held += len(source.entries)
    return held
