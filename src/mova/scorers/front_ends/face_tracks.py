"""Faces of single frames put together to persons, and each person cut out of the frames, as SyncNet's pipeline does.

The arithmetic of joonson/syncnet_python (run_pipeline.py, MIT), with what is odd about it, since published values of
LSE-D and LSE-C hang on it: a face that is taken is taken out of the list that is being walked through, so that the one
behind it in the same frame is passed over; and the median that smooths boxes takes frames before the first and behind
the last one for zeros, so that the six boxes at each end become smaller.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from mova.scorers.front_ends.boxes import shared_part
from mova.scorers.front_ends.opencv import resized

SIDE: Final = 224
"""Height and width of what is cut out, in pixels."""
_GREY: Final = 110
"""Of what lies beyond the frame."""
_SMOOTHED: Final = 13
_SCALE: Final = 0.4
"""How much wider than a face, over half its size, what is cut out reaches on both sides; twice that below it."""


@dataclass(frozen=True)
class TrackRules:
    """Which faces are one person.

    Attributes:
        shared: share of the union of two boxes that must be exceeded.
        most_missed: frames between two of its faces at most.
        least_faces: number of faces, and of frames of a shot, that must be exceeded (faces) or reached (frames).
        least_pixels: pixels that the mean width or the mean height must exceed.
    """

    shared: float = 0.5
    most_missed: int = 25
    least_faces: int = 20
    least_pixels: float = 100.0


@dataclass(frozen=True)
class FaceTrack:
    """One person in the frames of a shot.

    Attributes:
        first: number of the first frame.
        boxes: (F, 4) float64, one box for each frame that follows: left, top, right, bottom in pixels, interpolated
            where no face was found.
    """

    first: int
    boxes: np.ndarray

    @property
    def frames(self) -> range:
        """Numbers of its frames."""
        return range(self.first, self.first + len(self.boxes))

    @property
    def squares(self) -> np.ndarray:
        """Middle and half the longer side of each box, smoothed over 13 frames: (F, 3) float64, x, y and half."""
        left, top, right, bottom = self.boxes.T
        half = np.maximum(bottom - top, right - left) / 2
        return np.stack([_median(part) for part in ((left + right) / 2, (top + bottom) / 2, half)], axis=1)


def face_tracks(
    faces: Sequence[np.ndarray], cuts: Sequence[int] = (), rules: TrackRules = TrackRules()
) -> list[FaceTrack]:
    """Return the persons in a video, shot by shot.

    Args:
        faces: for each frame (N, 4 or more) left, top, right, bottom in pixels, the surest first.
        cuts: number of the first frame of each shot but the first, in order.
        rules: which faces are one person.
    """
    edges = [0, *cuts, len(faces)]
    found: list[FaceTrack] = []
    for begin, end in pairwise(edges):
        if end - begin >= rules.least_faces:
            found += _tracks_of_shot(faces[begin:end], begin, rules)
    return found


def _tracks_of_shot(faces: Sequence[np.ndarray], begin: int, rules: TrackRules) -> list[FaceTrack]:
    left: list[list[list[float]]] = [boxes[:, :4].tolist() for boxes in faces]
    found = []
    while members := _next_track(left, rules):
        if len(members) <= rules.least_faces:
            continue
        numbers = np.array([number for number, _ in members])
        boxes = np.array([box for _, box in members], dtype=np.float64)
        every = np.arange(numbers[0], numbers[-1] + 1)
        whole = np.stack([np.interp(every, numbers, column) for column in boxes.T], axis=1)
        if (whole[:, 2:] - whole[:, :2]).mean(axis=0).max() > rules.least_pixels:
            found.append(FaceTrack(begin + int(numbers[0]), whole))
    return found


def _next_track(left: list[list[list[float]]], rules: TrackRules) -> list[tuple[int, list[float]]]:
    """Take the faces of one person out of those that are left, in one pass, and return them with their frames."""
    members: list[tuple[int, list[float]]] = []
    for number, boxes in enumerate(left):
        if members and number - members[-1][0] > rules.most_missed:
            break
        place = 0
        while place < len(boxes):
            if not members or shared_part(boxes[place], members[-1][1]) > rules.shared:
                members.append((number, boxes.pop(place)))
            # One on in either case: the face behind one that was taken is passed over.
            place += 1
    return members


def _median(values: np.ndarray) -> np.ndarray:
    """Return the medians (F,) of 13 values around each of (F,); beyond both ends there are zeros."""
    padded = np.pad(values, _SMOOTHED // 2)
    return np.asarray(np.median(np.lib.stride_tricks.sliding_window_view(padded, _SMOOTHED), axis=1))


def cut_out(frame: np.ndarray, square: np.ndarray) -> np.ndarray:
    """Return a person's face with its surroundings: (224, 224, 3) uint8, grey where there is no frame.

    Args:
        frame: (H, W, 3) uint8.
        square: x and y of the middle and half the side, in pixels, of `FaceTrack.squares`.
    """
    x, y, half = (float(value) for value in square)
    border = int(half * (1 + 2 * _SCALE))
    height, width = frame.shape[:2]
    # Rounded towards zero inside a frame that has its border already: beside the frame numbers would be negative.
    top, bottom = _inside(y + border - half, y + border + half * (1 + 2 * _SCALE), border, height)
    left, right = _inside(x + border - half * (1 + _SCALE), x + border + half * (1 + _SCALE), border, width)
    cut = np.full((bottom - top, right - left, 3), _GREY, np.uint8)
    rows, columns = _common(top, bottom, height), _common(left, right, width)
    part = frame[rows[0] : rows[1], columns[0] : columns[1]]
    cut[rows[0] - top : rows[1] - top, columns[0] - left : columns[1] - left] = part
    return resized(cut, (SIDE, SIDE))


def _inside(begin: float, end: float, border: int, length: int) -> tuple[int, int]:
    """Return both ends in pixels of the frame, not beyond its border, and at least a pixel apart."""
    first = min(max(0, int(begin)), length + 2 * border - 1)
    return first - border, min(max(first + 1, int(end)), length + 2 * border) - border


def _common(begin: int, end: int, length: int) -> tuple[int, int]:
    """Return which of the pixels from begin to end lie in the frame; as many as none where it has no such."""
    first = min(max(begin, 0), length)
    return first, max(first, min(end, length))
