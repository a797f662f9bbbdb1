"""The clip that is extended: what it is, whether the model can go on from it, and its frames and samples in parts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mova.errors import ConfigError, ReadError
from mova.geometry import ClipGeometry, num_samples

if TYPE_CHECKING:
    import numpy as np

_PART_FRAMES: Final = 96
_MOST_WAY: Final = 1e-3


@dataclass(frozen=True)
class SourceClip:
    """A clip to go on from.

    Attributes:
        path: of the file.
        num_frames: that it has.
        height, width: in pixels.
        frame_rate: frames per second.
        has_audio: whether it has audio.
        model, weights_sha256: that made it, as its metadata says; None where it does not say.
    """

    path: Path
    num_frames: int
    height: int
    width: int
    frame_rate: float
    has_audio: bool
    model: str | None
    weights_sha256: str | None

    def check(self, geometry: ClipGeometry, model: str, weights_sha256: str) -> None:
        """Refuse a clip that the model cannot go on from.

        Args:
            geometry: that is to be made.
            model, weights_sha256: name and fingerprint of the model.

        Raises:
            ConfigError: another size or rate, or a clip that another model made.
        """
        if (self.width, self.height) != (geometry.width, geometry.height):
            raise ConfigError(
                f"extend must be a clip of the size that is made, {geometry.width}x{geometry.height}, got "
                f"{self.path.name} of {self.width}x{self.height}; nearest is --size {self.width}x{self.height}"
            )
        if abs(self.frame_rate - geometry.frame_rate) > _MOST_WAY:
            raise ConfigError(
                f"extend must be a clip of the frame rate that is made, {geometry.frame_rate:g}, got {self.path.name} "
                f"with {self.frame_rate:g} frames per second; nearest is --fps {self.frame_rate:g}"
            )
        if self.weights_sha256 not in (None, weights_sha256):
            name = f"{self.model}" if self.model != model else f"other weights of {self.model}"
            raise ConfigError(
                f"extend must be a clip of the same model, got {self.path.name}, which {name} made "
                f"(sha256 {str(self.weights_sha256)[:12]}), for {model} (sha256 {weights_sha256[:12]}); nearest is "
                f"--model with the one that made it"
            )

    def parts(self, num_frames: int, sample_rate: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the first frames (F, H, W, 3) uint8 with their samples (1, S), some seconds at a time."""
        for first, count, samples in self.sounds(num_frames, sample_rate):
            yield self.frames(first, count), samples

    def sounds(self, num_frames: int, sample_rate: int) -> Iterator[tuple[int, int, np.ndarray]]:
        """Yield the samples (1, S) of the first frames, with the first and the number of the frames they last for."""
        sent = 0
        for first in range(0, num_frames, _PART_FRAMES):
            count = min(_PART_FRAMES, num_frames - first)
            samples = self.samples(sent, num_samples(first + count, self.frame_rate, sample_rate) - sent, sample_rate)
            sent += samples.shape[1]
            yield first, count, samples

    def frames(self, first: int, count: int) -> np.ndarray:
        """Read frames (F, H, W, 3) uint8."""
        from mova.media.read import read_frames

        rate = self.frame_rate
        return read_frames(self.path, frame_rate=rate, num_frames=count, start_s=first / rate)

    def samples(self, first: int, count: int, sample_rate: int) -> np.ndarray:
        """Read samples (1, S) float32 at a rate; silence where there are none."""
        import numpy as np

        from mova.media.read import read_audio

        if not self.has_audio:
            return np.zeros((1, count), np.float32)
        return read_audio(self.path, sample_rate=sample_rate, length=count, start_s=first / sample_rate).waveform


def read_source(path: Path) -> SourceClip:
    """Find out what a clip is.

    Raises:
        ReadError: no video that can be read, or no frames.
    """
    from mova.media.probe import probe
    from mova.media.write import read_metadata

    info = probe(path)
    video = info.video
    rate = float(video.frame_rate or 0)
    frames = video.num_frames or round((video.duration_s or 0) * rate)
    if not rate or not frames:
        raise ReadError(f"extend must be a video with frames at a steady rate, got {path}")
    said = read_metadata(path)
    model, weights = (said.get(name) for name in ("model", "weights_sha256"))
    return SourceClip(
        path=path,
        num_frames=frames,
        height=video.display_size[0],
        width=video.display_size[1],
        frame_rate=rate,
        has_audio=info.audio is not None,
        model=model if isinstance(model, str) else None,
        weights_sha256=weights if isinstance(weights, str) else None,
    )
