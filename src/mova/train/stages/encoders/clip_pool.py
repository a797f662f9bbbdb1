"""Frames of many clips in one place, with what training needs to know about motion in them."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from torch.nn import functional

from mova.codecs.video import to_unit

# Frames of this many bytes at most are kept on an accelerator; more are gathered from the memory map.
_DEVICE_BYTES = 24 * 2**30
_MOVING = 0.08


class ClipPool:
    """Serves crops that follow the moving object.

    Args:
        frames: (N, F, H, W, 3) uint8, usually a memory map.
        device: where the crops are wanted.
    """

    def __init__(self, frames: np.ndarray, device: torch.device) -> None:
        self.device = device
        on_device = device.type == "cuda" and frames.nbytes <= _DEVICE_BYTES
        storage = device if on_device else torch.device("cpu")
        self.frames = torch.empty(frames.shape, dtype=torch.uint8, device=storage) if on_device else _as_tensor(frames)
        if on_device:
            for start in range(0, len(frames), 256):
                self.frames[start : start + 256] = torch.from_numpy(np.asarray(frames[start : start + 256])).to(storage)
        medians, centres = [], []
        for start in range(0, len(frames), 16):
            part = self.frames[start : start + 16].to(device)
            medians.append(part.median(dim=1).values)
            centres.append(_motion_centres(part, medians[-1]).cpu())
        self.medians = torch.cat(medians)  # (N, H, W, 3) uint8
        self.centres = torch.cat(centres)  # (N, F, 2) row and column in pixels

    def __len__(self) -> int:
        return len(self.frames)

    def crops(
        self, generator: torch.Generator, batch_size: int, size: int | None, num_frames: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Draw crops; seven of ten are centred near the moving object, the rest anywhere.

        Args:
            generator: CPU generator.
            batch_size: B.
            size: side of the crop, or None for whole frames.
            num_frames: T, from a random start.

        Returns:
            frames (B, 3, T, h, w) in [-1, 1] and a mask of moving pixels (B, 1, T, h, w), 0 or 1.
        """
        height, width = self.frames.shape[2:4]
        side_h, side_w = (size, size) if size else (height, width)
        clips = torch.randint(len(self), (batch_size,), generator=generator).tolist()
        draws = torch.rand(batch_size, 6, generator=generator).tolist()
        parts, still = [], []
        for clip, (when, anywhere, at_row, at_column, off_row, off_column) in zip(clips, draws, strict=True):
            start = int(when * (self.frames.shape[1] - num_frames + 1))
            row, column = at_row * (height - side_h), at_column * (width - side_w)
            if anywhere < 0.7:
                centre_row, centre_column = self.centres[clip, start + num_frames // 2].tolist()
                row = centre_row - side_h / 2 + (off_row - 0.5) * side_h / 2
                column = centre_column - side_w / 2 + (off_column - 0.5) * side_w / 2
            top, left = round(min(max(row, 0), height - side_h)), round(min(max(column, 0), width - side_w))
            window = slice(top, top + side_h), slice(left, left + side_w)
            parts.append(self.frames[clip, start : start + num_frames, window[0], window[1]])
            still.append(self.medians[clip, window[0], window[1]])
        frames = torch.stack(parts).to(self.device)
        moving = motion_mask(frames, torch.stack(still).to(self.device))
        return to_unit(frames), moving


def motion_mask(frames: torch.Tensor, median: torch.Tensor, margin: int = 2) -> torch.Tensor:
    """Mark pixels that differ from the clip's median, with a margin.

    Args:
        frames: (B, T, H, W, 3) uint8.
        median: (B, H, W, 3) uint8.
        margin: pixels around a moving one.

    Returns:
        (B, 1, T, H, W) float32, 0 or 1.
    """
    moving = (frames.float() - median.unsqueeze(1).float()).abs().amax(-1) > _MOVING * 255
    single = moving.float().flatten(0, 1).unsqueeze(1)
    dilated: torch.Tensor = functional.max_pool2d(single, 2 * margin + 1, stride=1, padding=margin)
    return dilated.view(moving.shape).unsqueeze(1)


def _motion_centres(frames: torch.Tensor, median: torch.Tensor) -> torch.Tensor:
    """Return (B, F, 2): row and column of what moves, the middle of the frame where nothing does."""
    energy = (frames.float() - median.unsqueeze(1).float()).abs().sum(-1)  # (B, F, H, W)
    energy = energy * (energy > 3 * _MOVING * 255)
    rows = torch.arange(energy.shape[2], device=energy.device, dtype=torch.float32)
    columns = torch.arange(energy.shape[3], device=energy.device, dtype=torch.float32)
    total = energy.sum((2, 3)).clamp_min(1e-6)
    row, column = (energy.sum(3) * rows).sum(2) / total, (energy.sum(2) * columns).sum(2) / total
    nothing = energy.sum((2, 3)) <= 0
    row = row.masked_fill(nothing, energy.shape[2] / 2)
    return torch.stack((row, column.masked_fill(nothing, energy.shape[3] / 2)), -1)


def _as_tensor(frames: np.ndarray) -> torch.Tensor:
    # A read-only memory map makes torch warn; the pool never writes to it.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return torch.from_numpy(frames)
