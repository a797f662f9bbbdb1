"""Encoded clips for training: from a cache that is filled first, or encoded at every step for comparison."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch

from mova.codecs.video_beginnings import Beginning
from mova.data.batch import ClipFacts, LatentBatch
from mova.data.cache import LatentCache
from mova.data.cache_plan import CachePlan, plan_splits
from mova.data.config import DataConfig, ToyDataConfig
from mova.data.encode import ClipEncoder, Encoding, TextEncoder, sample_rate_of
from mova.data.fill import FIELDS, OnProgress
from mova.data.known import FrameTask
from mova.data.sources.base import ClipEntry, ClipSource, RawClip, Split, fraction
from mova.data.sources.files import MediaSource
from mova.data.sources.scan import ScannedClips, check_share, scan_clips
from mova.data.sources.toy import ToySource
from mova.device import Compute, Resolved
from mova.distributed.mesh import ALONE, Parallel
from mova.errors import DataError, MediaError

logger = logging.getLogger(__name__)

SPLITS: tuple[Split, ...] = ("train", "validation")
FILES_MEMORY = "files.json"
"""In the folder of a cache: what was found out about files."""


def open_source(data: DataConfig, split: Split, model: Path, memory: Path | None = None) -> ClipSource:
    """Return the clips of a split, at the rate of a model's audio autoencoder.

    Raises:
        DataError: the clips cannot be used.
        CheckpointError: the model has no audio autoencoder.
    """
    rate = sample_rate_of(model)
    return ToySource(data, split, rate) if isinstance(data, ToyDataConfig) else MediaSource(data, split, rate, memory)


def open_splits(
    data: DataConfig,
    splits: Sequence[Split] = SPLITS,
    *,
    model: Path,
    cache: Path,
    device: torch.device,
    online: bool = False,
    compute: Compute = "auto",
    on_progress: Callable[[Split], OnProgress | None] = lambda _: None,
    parallel: Parallel = ALONE,
    known: Sequence[FrameTask] = (),
) -> Mapping[Split, CachedLatents | OnlineLatents]:
    """Return the encoded clips of some splits; what the cache lacks is encoded first, and the encoders are let go.

    The whole list is looked through and judged before anything of it is encoded.

    Args:
        data: where the clips come from.
        splits: the encoded clips by split.
        model: directory with autoencoders, text encoder and tokenizer; of a full cache only their files are read.
        cache: folder of encoded clips.
        device: device that trains.
        compute: what the video autoencoder's products are computed in; "auto" is settled before anything is encoded,
            see `plan_splits`.
        online: encode at every step instead, with new random starts each time.
        on_progress: gives for a split what is called while its part of the cache is filled.
        parallel: this process among the others. The main one looks at the files and fills the cache; the others wait,
            are told what it found, and meet the errors that it meets.
        known: tasks for which clips to learn from may be asked for.

    Raises:
        DataError: clips that cannot be used, a cache of other weights or sizes that cannot be filled, or one that
            another process fills.
    """
    encoding = Encoding(model, device, compute)

    def scan() -> tuple[ScannedClips | None, dict[Split, ClipSource]]:
        rate = sample_rate_of(model)
        if isinstance(data, ToyDataConfig):
            return None, {split: ToySource(data, split, rate) for split in splits}
        clips = scan_clips(data, cache / FILES_MEMORY)
        return clips, {split: MediaSource(data, split, rate, clips=clips) for split in splits}

    def fill() -> dict[Split, tuple[CachePlan, dict[int, str]]]:
        clips, sources = scan()
        plans = plan_splits(sources, encoding, LatentCache(cache), known)
        filled = {}
        for split, plan in plans.items():
            filled[split] = plan, plan.fill(encoding, data.workers, on_progress(split))
            _check_failures(data, clips, [failed for _, failed in filled.values()])
        return filled

    if online:
        return {
            split: OnlineLatents(source, encoding) for split, source in parallel.broadcast(lambda: scan()[1]).items()
        }
    return {
        split: CachedLatents(plan, encoding, left_out=failed)
        for split, (plan, failed) in parallel.broadcast(fill).items()
    }


class CachedLatents:
    """A `LatentSource` that reads what has been encoded; no encoder is in memory.

    Clips and captions stay on the host: small sets in memory as they are stored, of larger ones each file is read when
    it is wanted. Every file is checked when it is read first, and made again where it is damaged.

    Attributes:
        host_bytes: bytes of clips and captions that are kept in memory.
        precision: what the clips were encoded in.
    """

    def __init__(self, plan: CachePlan, encoding: Encoding, left_out: Mapping[int, str]) -> None:
        self.device, self.cache, self._plan, self._encoding = encoding.device, plan.cache, plan, encoding
        self.precision: Resolved = plan.precision
        kept = [index for index in range(len(plan.clip_keys)) if index not in left_out]
        entries = [plan.source.entries[index] for index in kept]
        self.frame_rate = plan.source.frame_rate
        self.facts: Sequence[ClipFacts] = [_facts(entry) for entry in entries]
        self._keys = [plan.clip_keys[index] for index in kept]
        self._text_keys = [plan.text_keys[entry.caption] for entry in entries]
        # On a GPU numbers are those of bfloat16, as long as there has been one.
        self._dtype = torch.bfloat16 if self.device.type == "cuda" else torch.float16
        self._checked: set[str] = set()
        self._held: dict[str, dict[str, torch.Tensor]] = {}
        self.null_prompt = self._place(self._read(plan.text_keys[""])["prompt"])
        self._white = [self._place(self._read(key)["condition"]) for key in plan.white_keys]
        self._known = {task: [keys[index] for index in kept] for task, keys in plan.known_keys.items()}
        known = {key for keys in self._known.values() for key in keys}
        for keys in (set(self._keys), set(self._text_keys), known):
            if self.cache.fit_in_memory(keys, self.host_bytes):
                self._held |= {key: self._read(key) for key in keys}

    @property
    def host_bytes(self) -> int:
        """See above."""
        return sum(tensor.nbytes for tensors in self._held.values() for tensor in tensors.values())

    def batch(
        self,
        indices: Sequence[int],
        step: int = 0,  # noqa: ARG002 (what is stored is stored)
        tasks: Sequence[FrameTask | None] = (),
    ) -> LatentBatch:
        """Return clips of one bucket, float32 on the device; see `LatentSource`."""
        clips = [self._read(self._keys[index]) for index in indices]
        for row, (index, task) in enumerate(zip(indices, tasks, strict=False)):
            if task is not None:
                clips[row] = clips[row] | self._read(self._known[task][index])
        fields = {name: self._place(torch.stack([clip[name] for clip in clips])).float() for name in FIELDS}
        texts = [self._read(self._text_keys[index])["prompt"] for index in indices]
        keys = tuple(self.facts[index].key for index in indices)
        prompts = self._place(torch.stack(texts)).float()
        return LatentBatch(keys, self.facts[indices[0]].bucket, prompts=prompts, **fields)

    def white_condition(self, bucket: int) -> torch.Tensor:
        """Return (C, T, h, w), the condition of a white first frame."""
        return self._white[bucket].float()

    def _place(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.to(self.device, self._dtype)

    def _read(self, key: str) -> dict[str, torch.Tensor]:
        """Return a file's tensors from memory, or from the cache, where a damaged one is made again."""
        if (held := self._held.get(key)) is not None:
            return held
        try:
            tensors = self.cache.read(key, check=key not in self._checked)
        except DataError:
            self._plan.make_again(key, self._encoding)
            tensors = self.cache.read(key)
        self._checked.add(key)
        return tensors


class OnlineLatents:
    """A `LatentSource` that decodes and encodes at every step, with a new random start each time.

    A clip that cannot be read gives its place to the next one of its size, and is reported.

    Attributes:
        precision: what clips are encoded in.
    """

    def __init__(self, source: ClipSource, encoding: Encoding) -> None:
        self.source, self.device = source, (device := encoding.device)
        self.frame_rate = source.frame_rate
        self.facts: Sequence[ClipFacts] = [_facts(entry) for entry in source.entries]
        self.clips, self.text = ClipEncoder(encoding), TextEncoder(encoding.model, device)
        self.precision: Resolved = self.clips.precision
        self.null_prompt = self.text.encode([""])[0].to(device).float()
        self._white = [
            self.clips.white_condition(size, source.num_frames, source.frame_rate).to(device).float()
            for size in source.sizes
        ]

    def batch(self, indices: Sequence[int], step: int = 0, tasks: Sequence[FrameTask | None] = ()) -> LatentBatch:
        """Return clips of one bucket, float32 on the device; see `LatentSource`."""
        loaded = [self._load(index, step) for index in indices]
        entries = [self.source.entries[index] for index, _ in loaded]
        placed, contents = self.clips.place([clip for _, clip in loaded]), [entry.content for entry in entries]
        beginning = Beginning()
        encoded = [
            {name: getattr(clip, name) for name in FIELDS}
            for clip in self.clips.encode_placed(placed, contents, beginning)
        ]
        wanted = [task for task in dict.fromkeys(tasks) if task is not None]
        known = self.clips.encode_known(placed, contents, wanted, beginning) if wanted else []
        for row, task in enumerate(tasks):
            if task is not None:
                encoded[row] |= known[row][task]
        fields = {name: torch.stack([clip[name] for clip in encoded]).to(self.device).float() for name in FIELDS}
        prompts = torch.stack(self.text.encode([entry.caption for entry in entries])).to(self.device).float()
        return LatentBatch(tuple(entry.key for entry in entries), entries[0].bucket, prompts=prompts, **fields)

    def white_condition(self, bucket: int) -> torch.Tensor:
        """Return (C, T, h, w), the condition of a white first frame."""
        return self._white[bucket]

    def _load(self, index: int, step: int) -> tuple[int, RawClip]:
        alike = [place for place, fact in enumerate(self.facts) if fact.bucket == self.facts[index].bucket]
        first = alike.index(index)
        for candidate in (*alike[first:], *alike[:first]):
            start_s = self.source.random_start(candidate, fraction(self.source.entries[candidate].content, step))
            try:
                return candidate, self.source.load(candidate, start_s)
            except MediaError as error:
                logger.warning("%s is left out: %s", self.facts[candidate].key, error)
        raise DataError(f"no clip of the size of {self.facts[index].key} can be read")


def _facts(entry: ClipEntry) -> ClipFacts:
    return ClipFacts(
        entry.key, entry.bucket, entry.has_video, entry.has_audio, content=entry.identity, caption=entry.caption
    )


def _check_failures(data: DataConfig, clips: ScannedClips | None, failed: Sequence[Mapping[int, str]]) -> None:
    """Judge clips that could not be decoded together with those that were left out before."""
    reasons = [reason for one in failed for reason in one.values()]
    if not reasons:
        return
    text = f"{len(reasons)} could not be decoded: {'; '.join(reasons[:3])}"
    if isinstance(data, ToyDataConfig) or clips is None:
        raise DataError(f"every toy clip must be encoded, got {text}")
    if clips.num_left_out:
        text = f"{text}; {clips.reasons()}"
    # Every view of a clip is encoded.
    check_share(len(reasons) + data.views * clips.num_left_out, data.views * clips.total, data, text)
    logger.warning("%s; they are left out", text)
