"""Whether lips move with the speech: LSE-D and LSE-C of the person who is most in time with it.

Prajwal et al., A Lip Sync Expert Is All You Need for Speech to Lip Generation in the Wild, 2020, with the two networks
of Chung and Zisserman's pipeline. Faces are sought in every frame at 25 per second, put together to persons, cut out,
and compared with the speech at shifts of up to 0.6 s.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from mova.media.measures.shots import ContentShots
from mova.scorers.base import Absence, Direction, Findings, Measure, Needs, Score, WeightsFile, all_absent
from mova.scorers.by_file.scorer import FileScorer
from mova.scorers.clip_media import ClipMedia
from mova.scorers.front_ends.face_tracks import FaceTrack, TrackRules, cut_out, face_tracks
from mova.scorers.front_ends.mfcc import SAMPLE_RATE, to_16_bits
from mova.scorers.front_ends.opencv import resized
from mova.scorers.published.clip_inputs import num_steps, sampled_frames
from mova.scorers.published.lip_shifts import LipSync, lip_sync, shift_distances

if TYPE_CHECKING:
    from mova.scorers.networks.s3fd import S3FD
    from mova.scorers.networks.syncnet import SyncNet

_SOURCE: Final = ("joonson/syncnet_python, www.robots.ox.ac.uk/~vgg/software/lipsync/data", "none stated")
SYNCNET: Final = WeightsFile("syncnet_v2.model", *_SOURCE)
S3FD_FACES: Final = WeightsFile("sfd_face.pth", *_SOURCE)
FRAME_RATE: Final = 25


class LipSyncScorer(FileScorer):
    """LSE-D and LSE-C by SyncNet, on faces of S3FD; of several persons the one with the largest LSE-C - LSE-D counts.

    A clip that is silent, or in which nobody is seen for long, has no value.

    Args:
        folder: with the two files; None where there is none.
    """

    name = "syncnet"
    measures = (
        Measure("lse_d", "", Direction.LOWER, "SyncNet: distance between lips and speech at the best offset."),
        Measure("lse_c", "", Direction.HIGHER, "SyncNet: how much better the best offset is than the others."),
        Measure(
            "lip_offset_s",
            "s",
            Direction.NEITHER,
            "SyncNet: by how much the speech comes before the lips, to 0.04 s; negative where it comes after them.",
        ),
    )
    needs = Needs(frames=True, audio=True, packages=("cv2", "scenedetect"), weights=(SYNCNET, S3FD_FACES))

    def check_weights(self) -> None:
        """See `CheckedScorer`."""
        if self._folder is not None:
            _read(self._folder)

    def find(self, clip: ClipMedia, folder: Path) -> Findings:
        """See `FileScorer.find`."""
        sound = to_16_bits(clip.waveform(SAMPLE_RATE))
        if not sound.any():
            return all_absent(self.measures, Absence.NOT_APPLICABLE, "the sound is silent")
        frames = _Frames(clip)
        persons: list[LipSync] = []
        if frames.count > TrackRules().least_faces:
            syncnet, detector = _networks(folder)
            persons = _compare(syncnet, frames, _tracks(detector, frames), sound)
        if not persons:
            return all_absent(self.measures, Absence.NOT_APPLICABLE, "no face track")
        best = max(persons, key=lambda one: one.confidence - one.distance)
        return Findings(
            {
                "lse_d": Score.of(best.distance),
                "lse_c": Score.of(best.confidence),
                "lip_offset_s": Score.of(best.offset_frames / FRAME_RATE),
            }
        )


class _Frames:
    """The frames of a clip at 25 per second in parts; where there is one part, it is decoded once."""

    def __init__(self, clip: ClipMedia) -> None:
        self.count = num_steps(clip.duration_s, FRAME_RATE)
        self._clip = clip
        self._all: np.ndarray | None = None

    def parts(self) -> Iterator[tuple[int, np.ndarray]]:
        """Give the number of the first frame of each part, and the part (F, H, W, 3) uint8, red first."""
        if self._all is not None:
            yield 0, self._all
            return
        first = 0
        for part in sampled_frames(self._clip, FRAME_RATE, self.count):
            if len(part) == self.count:
                self._all = part
            yield first, part
            first += len(part)


def _tracks(detector: S3FD, frames: _Frames) -> list[FaceTrack]:
    """Return the persons of all shots."""
    from mova.scorers.networks.s3fd import detect_faces

    shots = ContentShots()
    faces: list[np.ndarray] = []
    for _, part in frames.parts():
        for frame in part:
            shots.add(_small(frame, shots.width))
        faces += detect_faces(detector, part)
    return face_tracks(faces, shots.cuts())


def _small(frame: np.ndarray, width: int | None) -> np.ndarray:
    """Return a frame no wider than `width`, blue first."""
    if width is not None and frame.shape[1] > width:
        frame = resized(frame, (max(1, round(frame.shape[0] * width / frame.shape[1])), width))
    return np.ascontiguousarray(frame[..., ::-1])


def _compare(network: SyncNet, frames: _Frames, tracks: Sequence[FaceTrack], sound: np.ndarray) -> list[LipSync]:
    """Return what was found for each person who is seen and heard for longer than a window."""
    from mova.scorers.published.lip_embeddings import SAMPLES_PER_FRAME, LipReader, num_windows, speech_embeddings

    readers = [LipReader(network) for _ in tracks]
    squares = [track.squares for track in tracks]
    for first, part in frames.parts() if tracks else ():
        for track, reader, places in zip(tracks, readers, squares, strict=True):
            for number in range(max(first, track.first), min(first + len(part), track.frames.stop)):
                reader.add(cut_out(part[number - first], places[number - track.first]))
    found = []
    for track, reader in zip(tracks, readers, strict=True):
        heard = sound[track.first * SAMPLES_PER_FRAME : track.frames.stop * SAMPLES_PER_FRAME]
        count = num_windows(len(track.boxes), len(heard))
        if count:
            speech = speech_embeddings(network, heard, count)
            found.append(lip_sync(shift_distances(reader.embeddings()[:count], speech)))
    return found


@lru_cache(maxsize=1)
def _networks(folder: Path) -> tuple[SyncNet, S3FD]:
    from mova.scorers.published.networks import on_device

    syncnet, detector = _read(folder)
    return on_device(syncnet), on_device(detector)


def _read(folder: Path) -> tuple[SyncNet, S3FD]:
    """Return both networks with their weights; nothing in the files is executed."""
    from mova.scorers.networks.s3fd import S3FD
    from mova.scorers.networks.syncnet import SyncNet
    from mova.scorers.published.networks import opened

    return opened(SyncNet, folder / SYNCNET.name), opened(S3FD, folder / S3FD_FACES.name)
