"""The result of a request in its file: with the user's own stream where one is given whole and can be copied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mova.conditioning.spec import ALL, Modality

if TYPE_CHECKING:
    from mova.generate.request import GenerateRequest
    from mova.pipeline.output import MovaPipelineOutput
    from mova.types import Clip

COPIED: Final = "copied"
_VIDEO_SUFFIXES: Final = (".mp4",)


@dataclass(frozen=True)
class Written:
    """What is in a file.

    Attributes:
        num_frames, frame_rate, height, width: of its video; 0 where it has none.
        sample_rate: of its audio; 0 where it has none.
        duration_s: of the clip.
        kept: of each modality that was given whole, how it got into the file: copied, or encoded and why.
        metadata: what the file says.
    """

    num_frames: int
    frame_rate: float
    height: int
    width: int
    sample_rate: int
    duration_s: float
    kept: Mapping[str, str]
    metadata: Mapping[str, object]


def suffixes_for(outputs: frozenset[Modality]) -> tuple[str, ...]:
    """Return how a file with these modalities may end."""
    if "video" in outputs:
        return _VIDEO_SUFFIXES
    from mova.media.transcode.sound_file import SOUND_SUFFIXES

    return SOUND_SUFFIXES


def write_result(
    target: Path,
    request: GenerateRequest,
    result: MovaPipelineOutput,
    metadata: Mapping[str, object],
    *,
    place: int = 0,
    clip: Clip | None = None,
) -> Written:
    """Write one clip of a result.

    Args:
        target: of `suffixes_for`; appears only when it is complete.
        request: that was made.
        result: of the pipeline.
        metadata: of the file; what became of given streams is added.
        place: of the clip in the result.
        clip: that clip, where it is at hand.

    Raises:
        MuxError, ReadError: it cannot be written, or a stream that is copied cannot be read any more.
    """
    from mova.media.transcode.kept_stream import KeptStream, find_kept, write_beside
    from mova.media.write import write_clip

    if "video" not in request.outputs:
        return _write_sound(target, result, metadata, place)
    clip, geometry = clip or result.clip(place), request.settings.geometry
    found: KeptStream | str | None = None
    kept: dict[str, str] = {}
    name: Modality
    for name, path in (("video", request.video), ("audio", request.audio)):
        if path is not None and request.placed().held[name].is_whole and request.outputs == ALL:
            found = find_kept(
                path, name, start_s=request.start_s, duration_s=clip.duration_s, frame_rate=geometry.frame_rate
            )
            kept[name] = COPIED if isinstance(found, KeptStream) else f"encoded, since {found}"
    said = {**metadata, **({"kept_streams": kept} if kept else {})}
    if isinstance(found, KeptStream):
        write_beside(target, clip, found, metadata=said)
    else:
        write_clip(target, clip, metadata=said, allow_silent="audio" not in request.outputs)
    frames, size, rate = len(clip.frames), clip.frames.shape[1:3], clip.frame_rate
    if kept.get("video") == COPIED:
        from mova.media.probe import probe_video

        info = probe_video(target)
        frames, size, rate = info.num_frames or frames, info.display_size, info.frame_rate or rate
    sample_rate = 0 if clip.waveform is None else clip.sample_rate
    return Written(frames, rate, size[0], size[1], sample_rate, clip.duration_s, kept, said)


def _write_sound(target: Path, result: MovaPipelineOutput, metadata: Mapping[str, object], place: int) -> Written:
    from mova.media.transcode.sound_file import write_sound

    waveform = result.sound(place)
    write_sound(target, waveform, result.sample_rate, metadata=metadata)
    duration_s = waveform.shape[1] / result.sample_rate
    return Written(0, 0.0, 0, 0, result.sample_rate, duration_s, {}, metadata)
