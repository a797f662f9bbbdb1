"""From the latents of windows to one clip: frames and samples in a stream, the user's own kept to the last one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from mova.codecs.audio_stream import AudioStream
from mova.codecs.video import frames_to_tensor, tensor_to_frames
from mova.codecs.video_bands import can_decode_bands
from mova.codecs.video_stream import StreamMark, VideoStream
from mova.conditioning.kept import OwnSamples
from mova.conditioning.windows import AUDIO_MARGIN
from mova.errors import NumericalError

if TYPE_CHECKING:
    from mova.pipeline.pipeline import MovaPipeline


class LongDecoder:
    """Decodes a long clip in the order of its time.

    Args:
        pipeline: with the autoencoders.
        known_frames: (O, H, W, 3) uint8 that stand at the beginning in place of decoded ones, or None.
        known_audio: (1, S) float32, likewise.
        num_samples: of the audio in all.
    """

    def __init__(
        self,
        pipeline: MovaPipeline,
        known_frames: np.ndarray | None,
        known_audio: np.ndarray | None,
        num_samples: int,
    ) -> None:
        placement = pipeline.placement
        bands = 1 if placement is None or not can_decode_bands(pipeline.video_vae) else placement.plan.bands
        self._video = VideoStream(pipeline.video_vae, bands=bands, output_device="cpu")
        self._audio = AudioStream(pipeline.audio_vae)
        self._own_frames = known_frames
        hop, length = pipeline.audio_vae.hop_length, 0 if known_audio is None else known_audio.shape[-1]
        end = None if length >= num_samples else (length // hop - AUDIO_MARGIN) * hop
        self._own = OwnSamples(known_audio, end, pipeline.audio_vae.sample_rate)
        self._wanted, self._shown, self._sent = num_samples, 0, 0

    def mark(self) -> tuple[StreamMark, int]:
        """Return a place of the video to come back to."""
        return self._video.mark(), self._shown

    def go_back(self, mark: tuple[StreamMark, int]) -> None:
        """Forget what was decoded since."""
        self._video.go_back(mark[0])
        self._shown = mark[1]

    def frames(self, latents: torch.Tensor) -> torch.Tensor:
        """Decode the next video latents (1, C, n, h, w) to frames (1, 3, f, H, W) in [-1, 1] on the CPU.

        Raises:
            NumericalError: frames that are not finite.
        """
        decoded = self._video.push(latents)
        if not decoded.isfinite().all():
            raise NumericalError("the decoded video must hold finite numbers, got NaN or infinity")
        first, self._shown = self._shown, self._shown + decoded.shape[2]
        if self._own_frames is not None and first < len(self._own_frames):
            own = frames_to_tensor(self._own_frames[first : self._shown])
            decoded = torch.cat([own, decoded[:, :, own.shape[2] :]], dim=2)
        return decoded

    def samples(self, latents: torch.Tensor, *, until: int | None = None) -> np.ndarray:
        """Decode the next audio latents (1, C, n) to the samples (1, s) that are ready.

        Args:
            latents: in the order of time; n may be 0.
            until: where the audio ends, in samples, if these are the last latents.

        Raises:
            NumericalError: samples that are not finite.
        """
        parts = [self._audio.push(latents)] + ([] if until is None else [self._audio.finish()])
        decoded = torch.cat([part.cpu() for part in parts], dim=-1)
        if not decoded.isfinite().all():
            raise NumericalError("the decoded audio must hold finite numbers, got NaN or infinity")
        end = self._wanted if until is None else min(until, self._wanted)
        decoded = decoded[..., : max(0, end - self._sent)]
        if until is not None and self._sent + decoded.shape[-1] < end:
            missing = end - self._sent - decoded.shape[-1]
            decoded = torch.nn.functional.pad(decoded, (0, missing))
        self._sent += decoded.shape[-1]
        made: np.ndarray = self._own.put(decoded)[0].numpy()
        return made


def to_uint8(frames: torch.Tensor) -> np.ndarray:
    """Turn frames (1, 3, F, H, W) in [-1, 1] into (F, H, W, 3) uint8."""
    pixels: np.ndarray = tensor_to_frames(frames)[0]
    return pixels
