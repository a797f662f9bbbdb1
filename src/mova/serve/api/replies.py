"""What is said of jobs: OpenAI's Video object, and what ours has beside it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from mova.errors import MovaError
from mova.files.json_file import as_fields
from mova.generate.request import RETRIES
from mova.generate.session import SAMPLING
from mova.media.frames import FITS
from mova.serve.artifacts import Artifacts
from mova.serve.faults import FieldError
from mova.serve.intake.offer import Offer
from mova.serve.jobs.records import INPUTS, KEYFRAMES, Job, JobState
from mova.serve.jobs.store import JobStore
from mova.settings.sampling import GivenSettings, SamplingSettings

STATUSES: Final = {
    JobState.QUEUED: "queued",
    JobState.HELD: "queued",
    JobState.RUNNING: "in_progress",
    JobState.COMPLETED: "completed",
    JobState.FAILED: "failed",
    JobState.CANCELLED: "failed",
}
"""Statuses of OpenAI, by state."""
VARIANTS: Final = ("video", "thumbnail", "spritesheet", "waveform", "preview")
"""Files that a job may have."""
INPUT_VARIANTS: Final = {f"input_{name}": name for name in INPUTS}
"""What a job was made from, by the name under which it is given."""
_WAITING: Final = (JobState.QUEUED, JobState.HELD)
_MOST_KNOWN: Final = 512


class Replies:
    """Makes what is said of jobs.

    Args:
        offer: of the model.
        store: of jobs.
        artifacts: their files.
        shows_paths: whether it is said where a file lies on this machine.
    """

    def __init__(self, offer: Offer, store: JobStore, artifacts: Artifacts, *, shows_paths: bool) -> None:
        self._offer, self._store, self._artifacts, self._shows_paths = offer, store, artifacts, shows_paths
        self._settings = lru_cache(_MOST_KNOWN)(self._settings_of)

    def video(self, job: Job, warnings: Sequence[str] | None = None) -> dict[str, object]:
        """Return what is said of a job. It asks the database for the place of one that waits.

        Args:
            job: of the store.
            warnings: what the model was not trained for and what was moved; None finds what can be found without the
                media.
        """
        order, is_final = job.order, job.state.is_final
        settings = self.settings(job)
        found = self._warnings(job, settings) if warnings is None else warnings
        percent = 100.0 if job.state is JobState.COMPLETED else min(job.progress.percent, 99.0)
        openai = {
            "id": job.id,
            "object": "video",
            "model": order.model,
            "status": STATUSES[job.state],
            "progress": int(percent),
            "created_at": int(job.created_s),
            "completed_at": None if job.completed_s is None else int(job.completed_s),
            "expires_at": None if job.expires_s is None else int(job.expires_s),
            "error": None if job.error is None else {"code": job.error.code, "message": job.error.message},
            "prompt": order.prompt,
            "seconds": None if settings is None else plain_seconds(num_frames_of(job, settings) / settings.frame_rate),
            "size": None if settings is None else f"{settings.width}x{settings.height}",
            "remixed_from_video_id": job.remixed_from or None,
        }
        return openai | {
            "state": str(job.state),
            "negative_prompt": order.negative_prompt,
            "seed": order.seed,
            "num_frames": None if settings is None else num_frames_of(job, settings),
            "fps": None if settings is None else settings.frame_rate,
            "settings": dict(order.settings) if settings is None else settings.record(),
            "speed": order.speed,
            "start_s": order.start_s,
            "inputs": sorted(order.inputs),
            "retake": list(order.retakes),
            "is_extension": "extend" in order.inputs,
            **_further(job),
            "attempts": job.facts.get("attempts", []),
            "made_seed": job.facts.get("seed"),
            "enhancement": None if order.enhancement is None else dict(order.enhancement),
            "stage": None if is_final else job.progress.stage or None,
            "stage_done": job.progress.done,
            "stage_total": job.progress.total,
            **_windows(job, settings),
            "left_s": None if is_final else job.progress.left_s,
            "position": self._store.num_ahead(job) + 1 if job.state is JobState.QUEUED else None,
            "attempt": job.attempt,
            "started_at": None if job.started_s is None else int(job.started_s),
            "group": job.group or None,
            "has": {name: name in job.artifacts for name in VARIANTS},
            "warnings": list(found),
            "notes": _notes(job),
            "inference_time_s": job.facts.get("inference_s"),
            "peak_memory_mb": job.facts.get("peak_memory_mb"),
            "file_path": self._path(job),
        }

    def settings(self, job: Job) -> SamplingSettings | None:
        """Return the settings of a job; None where they are not for this model any more."""
        order = job.order
        given = json.dumps(dict(order.settings), sort_keys=True)
        return self._settings(given, order.speed, "video" in order.held, "audio" in order.held)

    def new_s(self, job: Job) -> float | None:
        """Return how many seconds of a job's file are made; None where it is not for this model any more."""
        settings, extent = self.settings(job), job.order.extent
        if settings is None or extent is None:
            return None if settings is None else settings.geometry.duration_s
        return extent.new_frames / settings.frame_rate

    def _settings_of(self, given: str, speed: str, holds_video: bool, holds_audio: bool) -> SamplingSettings | None:
        try:
            read = GivenSettings.read(as_fields(json.loads(given), "settings", error=FieldError))
            return SamplingSettings.for_model(
                self._offer.defaults,
                self._offer.dims.codec,
                read,
                speed=speed,
                hold_video=holds_video,
                hold_audio=holds_audio,
            )
        except MovaError:
            return None

    def _warnings(self, job: Job, settings: SamplingSettings | None) -> list[str]:
        found = [] if settings is None else self._offer.scope.outside(job.order.prompt, settings)
        return [*found, *_notes(job)]

    def _path(self, job: Job) -> str | None:
        if not self._shows_paths or "video" not in job.artifacts:
            return None
        path = self._artifacts.path(job.artifacts["video"])
        return None if path is None else str(path)


def num_frames_of(job: Job, settings: SamplingSettings) -> int:
    """Return the frames of a job's file: of one that goes on from a clip also those of the clip."""
    return settings.num_frames if job.order.extent is None else job.order.extent.num_frames


def _notes(job: Job) -> list[str]:
    """Return what was moved when a job was taken, which seeds led to nothing, and why its clip ends before its time."""
    ended = job.facts.get("ended")
    return [*job.order.notes, *job.facts.get("notes", []), *([str(ended)] if ended else [])]


def _further(job: Job) -> dict[str, object]:
    """Return what is said of moments, of one modality and of windows."""
    order, long = job.order, job.order.long or {}
    return {
        "keyframes": [{"time": time, "input": name} for time, name in zip(order.keyframes, KEYFRAMES, strict=False)],
        "only": order.only,
        "fit": order.fit or FITS[0],
        "retries": RETRIES if order.retries is None else order.retries,
        "prompt_at": [{"time": time, "prompt": text} for time, text in long.get("prompts_at", [])],
        "overlap": long.get("overlap_s"),
        "windows": long.get("method"),
        "num_windows": 1 if order.extent is None else order.extent.windows,
    }


def _windows(job: Job, settings: SamplingSettings | None) -> dict[str, object]:
    """Return which window of a long clip is being made, from 1 on; None where none is, or all are."""
    extent, progress = job.order.extent, job.progress
    if extent is None or settings is None or job.state is not JobState.RUNNING or progress.stage != SAMPLING:
        return {"window": None}
    steps = settings.num_inference_steps
    is_by_window = progress.total == steps * extent.windows and (job.order.long or {}).get("method") != "joint"
    return {"window": min(progress.done // steps + 1, extent.windows) if is_by_window else None}


def list_of(videos: Sequence[dict[str, object]], *, has_more: bool) -> dict[str, object]:
    """Return a page of a list."""
    return {
        "object": "list",
        "data": list(videos),
        "first_id": videos[0]["id"] if videos else None,
        "last_id": videos[-1]["id"] if videos else None,
        "has_more": has_more,
    }


def plain_seconds(seconds: float) -> str:
    """Return seconds as OpenAI writes them: "8", and "2.04" where they are no whole ones."""
    return f"{seconds:.2f}".rstrip("0").rstrip(".")
