"""What curation knows of a source and of a clip; later stages add to a record and take nothing away."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from mova.scorers.base import Score, Span

_SPACE: Final = uuid.UUID("0b6f2a3e-5d0c-5b52-9d0e-3a7c1b1f4e21")


class State(StrEnum):
    """What became of a source or a clip in a stage; each that goes in comes out with exactly one of these.

    Attributes:
        KEPT: goes on to the next stage.
        REJECTED: is whole, and not wanted; its reasons say why.
        FAILED: could not be worked on; its reasons say why.
    """

    KEPT = "kept"
    REJECTED = "rejected"
    FAILED = "failed"


class WindowKind(StrEnum):
    """The four kinds of windows of the paper (stage 1)."""

    SINGLE_SPEECH = "single_speech"
    MULTI_SPEECH = "multi_speech"
    SINGLE_SILENT = "single_non_speech"
    MULTI_SILENT = "multi_non_speech"


@dataclass(frozen=True)
class SourceRecord:
    """One file of footage.

    Attributes:
        source_id: UUID5 of its contents; "" as long as they were not read, and so is `sha256`.
        uri: where it is, as the recipe's folder or list names it.
        sha256: hexadecimal digest of its bytes.
        size_bytes: its length.
        licence: as the list says; "" where nothing is said.
        columns: further columns of the list.
        duration_s: length of its video in seconds; 0 where it could not be read.
        state: what became of it in stage 1.
        reasons: why it was rejected or failed; each begins with a name, for example "corrupt_media: ...". One that is
            kept has "left_out: ..." for each of its pieces that is not.
        version: what tells that its bytes were changed: time of change, or what the storage says; "" where neither is
            known.
    """

    source_id: str
    uri: str
    sha256: str
    size_bytes: int
    licence: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    duration_s: float = 0.0
    state: State = State.KEPT
    reasons: tuple[str, ...] = ()
    version: str = ""


@dataclass(frozen=True)
class Caption:
    """A text about a clip, and how it was made.

    Attributes:
        text: the caption; "" where there is none, with the outcome that says why.
        outcome: "ok", or the name of what went wrong, as in `mova.endpoints.outcomes`.
        model: name of the model, or "offline".
        prompt_sha256: digest of the instruction.
        tokens_in: tokens of the request, 0 where the endpoint did not say.
        tokens_out: tokens of the reply.
    """

    text: str
    outcome: str = "ok"
    model: str = "offline"
    prompt_sha256: str = ""
    tokens_in: int = 0
    tokens_out: int = 0


@dataclass(frozen=True)
class ClipRecord:
    """One clip of fixed length.

    Attributes:
        clip_id: UUID5 of the source's contents, the start, the frame count and the parameters of stage 1.
        source_id: of its source.
        uri: of its source.
        licence: of its source.
        columns: further columns of its source.
        kind: kind of its window.
        start_s: where it begins in the source, in seconds on the source's clock; of a source that was joined of several
            that of its first piece, on which each other piece begins where the one before ends.
        num_frames: frames of the clip.
        cuts_s: cuts between shots inside the clip, on its own clock.
        speech: spans of speech, on its own clock.
        path: of its file, relative to the output folder; "" where there is none.
        scores: by name of the measure.
        tags: words for what is seen or heard.
        spans: found by scorers, by name.
        fingerprints: perceptual hashes, by name.
        texts: words that were read in the video.
        embeddings: by name of the space, as `mova.curate.score.embeddings.to_half` gives them; a table of all clips has
            none of them, since they lie beside it.
        captions: by part: "visual", "speech", "audio", "merged".
        marks: what a user should know of a clip that is kept, for example "merge_failed".
        state: what became of it in the stage that wrote the row.
        reasons: why it was rejected or failed.
    """

    clip_id: str
    source_id: str
    uri: str
    kind: WindowKind
    start_s: float
    num_frames: int
    licence: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    cuts_s: tuple[float, ...] = ()
    speech: tuple[Span, ...] = ()
    path: str = ""
    scores: Mapping[str, Score] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    spans: Mapping[str, tuple[Span, ...]] = field(default_factory=dict)
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    texts: tuple[str, ...] = ()
    embeddings: Mapping[str, bytes] = field(default_factory=dict)
    captions: Mapping[str, Caption] = field(default_factory=dict)
    marks: tuple[str, ...] = ()
    state: State = State.KEPT
    reasons: tuple[str, ...] = ()


def source_id(sha256: str) -> str:
    """Return the id of a source.

    Args:
        sha256: hexadecimal digest of its bytes.
    """
    return str(uuid.uuid5(_SPACE, sha256))


def clip_id(sha256: str, start: str, num_frames: int, parameters: str) -> str:
    """Return the id of a clip: the same wherever and whenever the same footage is cut in the same way.

    Args:
        sha256: hexadecimal digest of its source's bytes.
        start: where it begins, written exactly: ticks and time base, or a fraction of seconds.
        num_frames: its frames.
        parameters: digest of what else decides how it looks and sounds.
    """
    return str(uuid.uuid5(_SPACE, "/".join((sha256, start, str(num_frames), parameters))))
