"""A clip that is written while it is made: whole or not at all, with a record that is known only at its end.

The memory that it takes does not depend on its length. Its name appears when it is complete, so nothing half-written is
ever found, whenever the process ends.
"""

from __future__ import annotations

import mmap
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av.error
import numpy as np

from mova.errors import MuxError
from mova.geometry import num_samples
from mova.media.mp4.begun import BegunVideo
from mova.media.mp4.streams import Mp4Streams
from mova.media.provenance import DigitalSourceType, append_source_type
from mova.media.write import (
    check_complete,
    check_format,
    check_samples,
    check_writable,
    complete_file,
    metadata_tags,
)

if TYPE_CHECKING:
    import os

    from av.packet import Packet
    from av.stream import Stream


class GrowingClip:
    """A clip while it grows; `growing_clip` gives it.

    Args:
        path: of the file that is written.
        size: (height, width), even.
        frame_rate: frames per second.
        sample_rate: of the audio, in Hz.
        channels: of the audio, 1 or 2; 0 for none.
        room: bytes that are kept free for the record.
        options: of x264.

    Attributes:
        num_frames, num_samples: that were given so far.
    """

    def __init__(
        self,
        path: Path,
        size: tuple[int, int],
        frame_rate: float,
        *,
        sample_rate: int,
        channels: int,
        room: int,
        options: Mapping[str, str],
    ) -> None:
        self._path, self._size, self._channels = path, size, channels
        self.frame_rate, self.sample_rate = frame_rate, sample_rate
        self._place = f"mova-{secrets.token_hex(16)}".ljust(room)
        self._streams = Mp4Streams(
            path,
            size,
            frame_rate,
            channels=channels,
            sample_rate=sample_rate,
            tags={"comment": self._place},
            options=options,
        )
        self.num_frames, self.num_samples = 0, 0
        self._metadata: dict[str, object] = {}

    def add(self, frames: np.ndarray | None = None, samples: np.ndarray | None = None) -> None:
        """Append frames (F, H, W, 3) uint8 and samples (channels, S) float32 in [-1, 1]; either may run ahead.

        Raises:
            MuxError: of another form, or samples that are not finite.
        """
        if frames is not None:
            if frames.dtype != np.uint8 or frames.shape[1:] != (*self._size, 3):
                wanted = f"(F, {self._size[0]}, {self._size[1]}, 3) uint8"
                raise MuxError(f"frames must be {wanted}, got {frames.shape} {frames.dtype}")
            self.num_frames += len(frames)
        if samples is not None:
            if samples.ndim != 2 or len(samples) != self._channels:
                raise MuxError(f"samples must be ({self._channels}, S), got {samples.shape}")
            check_samples(samples)
            self.num_samples += samples.shape[1]
        self._streams.add(frames, samples)

    def begun(self, path: Path) -> BegunVideo | str:
        """Return how the video of a file can stand before all frames, or the reason why it cannot.

        Raises:
            ReadError: the file is damaged.
        """
        return self._streams.begun(path)

    def copy(self, packets: Sequence[Packet[Stream]]) -> None:
        """Append packets of `begun`, before any frame."""
        self._streams.copy(packets)
        self.num_frames += len(packets)

    def describe(self, metadata: Mapping[str, object]) -> None:
        """Say what the file says of its origin; the last word counts.

        Raises:
            MuxError: no JSON values, or more than there is room for.
        """
        text = metadata_tags(metadata, self._path).get("comment", "{}")
        if len(text.encode()) > len(self._place):
            raise MuxError(f"the record of a clip must have at most {len(self._place)} bytes, got {len(text.encode())}")
        self._metadata = dict(metadata)

    def close(self) -> None:
        """Finish the file.

        Raises:
            MuxError: no frames, or audio of another length.
        """
        expected = num_samples(self.num_frames, self.frame_rate, self.sample_rate) if self._channels else 0
        if not self.num_frames or self.num_samples != expected:
            raise MuxError(
                f"audio must last as long as the video: {self.num_frames} frames at {self.frame_rate:g} per second "
                f"are {expected} samples, got {self.num_samples}"
            )
        self._streams.close()
        self._write_record()

    def abandon(self) -> None:
        """Let go of an unfinished file."""
        self._streams.abandon()

    def _write_record(self) -> None:
        text = metadata_tags(self._metadata, self._path).get("comment", "{}").encode()
        place = self._place.encode()
        with self._path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as content:
            at = content.find(place)
            if at < 0:
                raise OSError("the place of its record did not reach the file")
            # White space behind JSON means nothing.
            content[at : at + len(place)] = text.ljust(len(place))


@contextmanager
def growing_clip(
    path: str | os.PathLike[str],
    size: tuple[int, int],
    frame_rate: float,
    *,
    sample_rate: int,
    channels: int = 1,
    room: int = 4096,
    crf: float = 18.0,
    preset: str = "medium",
    source_type: DigitalSourceType = "trainedAlgorithmicMedia",
) -> Iterator[GrowingClip]:
    """Give a clip to write piece by piece; it takes its name when the block ends without an error.

    Args:
        path: ends in .mp4.
        size, frame_rate, sample_rate, channels, room: see `GrowingClip`.
        crf, preset, source_type: as in `mova.media.write.write_clip`.

    Raises:
        MuxError: a form or a path that cannot be written, or a failure on the way, such as a full disk.
    """
    target = check_writable(path)
    check_format(size, frame_rate, sample_rate, crf, channels)
    try:
        with complete_file(target) as temporary:
            clip = GrowingClip(
                temporary,
                size,
                frame_rate,
                sample_rate=sample_rate,
                channels=channels,
                room=room,
                options={"crf": f"{crf:g}", "preset": preset},
            )
            try:
                yield clip
                clip.close()
            except BaseException:
                clip.abandon()
                raise
            append_source_type(temporary, source_type)
            check_complete(temporary, clip.num_frames, Fraction(clip.num_samples, sample_rate))
    except (OSError, av.error.FFmpegError) as error:
        reason = getattr(error, "strerror", None) or error
        raise MuxError(f"a clip must be written whole, got stopped at {path}: {reason}; nothing was kept") from error
