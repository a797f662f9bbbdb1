"""Stage 3 as a stage: captions for the clips that the verdicts kept, offline or by endpoints."""

from __future__ import annotations

import asyncio
import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Final

from mova.curate.caption.instructions import digest as instructions_digest
from mova.curate.caption.offline import caption_offline
from mova.curate.caption.online import OnlineCaptioner
from mova.curate.config.caption import ROLES, CaptionSection
from mova.curate.records import State
from mova.curate.stage import StageNeeds, Unit, UnitRows
from mova.endpoints.budget import FileBudget
from mova.endpoints.cache import FileCache
from mova.endpoints.client import Shared
from mova.endpoints.keys import read_key
from mova.endpoints.records import FileRecords
from mova.endpoints.retry import Timing
from mova.endpoints.wire import check_installed

CALLS: Final = "calls"
"""Folder of the records of calls, of the replies and of the budget, in the output folder."""
_VERSION: Final = 1
# What changes how fast, where or by whose leave a model answers, and not what is asked.
_NOT_ASKED: Final = {"base_url", "api_key_env", "timeout_s", "deadline_s", "attempts", "stream"}
_NOT_CAPTIONS: Final = {"concurrency", "budget", "give_up_after"}


class CaptionStage:
    """Captions for clips; clips of any other state than kept go through as they are.

    Args:
        section: of the recipe.
        frame_rate: frames per second of the clips.
        timing: clocks of waits between attempts; those of the system unless a test turns them.
    """

    name: Final = "caption"
    reads: Final = ("path", "num_frames", "cuts_s", "speech", "scores", "tags", "spans", "texts", "marks")
    writes: Final = ("captions", "marks", "state", "reasons")

    def __init__(self, section: CaptionSection, *, frame_rate: float = 24.0, timing: Timing | None = None) -> None:
        self._section, self._frame_rate, self._timing = section, frame_rate, timing

    @property
    def needs(self) -> StageNeeds:
        """Little: models run elsewhere."""
        if self._section.captioner == "offline":
            return StageNeeds(memory_bytes=2**28)
        return StageNeeds(packages=("openai", "PIL"), memory_bytes=2 * 2**30)

    @property
    def digest(self) -> str:
        """Digest of instructions, models and what they are asked with; addresses, keys and limits do not count."""
        left_out = dict.fromkeys(ROLES, _NOT_ASKED) | dict.fromkeys(_NOT_CAPTIONS, True)
        asked = self._section.model_dump(mode="json", exclude=left_out)
        if self._section.captioner == "offline":
            asked = {"captioner": "offline", "most_chars": self._section.most_chars}
        text = json.dumps([_VERSION, asked, instructions_digest(), self._frame_rate], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def check(self) -> None:
        """Check, before anything expensive starts, that the endpoints can be asked.

        Raises:
            MissingExtraError: `openai` is not installed.
            ConfigError: the environment variable of a key is not set.
        """
        if self._section.captioner == "offline":
            return
        check_installed()
        for role in ROLES:
            read_key(getattr(self._section, role).api_key_env)

    def run(self, unit: Unit, folder: Path) -> UnitRows:
        """Return the unit's clips with captions.

        Calls are noted in `calls/UNIT.jsonl`, replies are kept in `calls/replies`, so that a unit that is done twice is
        paid once.

        Args:
            unit: clips with their scores.
            folder: output folder of the run.

        Raises:
            StageError: the budget is spent, an endpoint takes no request, or `calls` cannot be written: the run ends,
                and goes on from there when it is started again.
            MissingExtraError, ConfigError: as of `check`.
        """
        kept = tuple(clip for clip in unit.clips if clip.state is State.KEPT)
        if self._section.captioner == "offline":
            done = [caption_offline(clip, self._frame_rate, self._section.most_chars) for clip in kept]
        else:
            done = list(asyncio.run(self._online(unit.unit_id, folder).caption(kept))) if kept else []
        by_id = {clip.clip_id: clip for clip in done}
        return UnitRows(unit.source, tuple(by_id.get(clip.clip_id, clip) for clip in unit.clips))

    def _online(self, unit_id: str, folder: Path) -> OnlineCaptioner:
        calls, budget = folder / CALLS, self._section.budget
        shared = Shared(
            slots=asyncio.Semaphore(self._section.concurrency),
            budget=FileBudget(calls / "budget", budget.calls, budget.tokens),
            cache=FileCache(calls / "replies"),
            records=FileRecords(calls / f"{unit_id}.jsonl"),
        )
        return OnlineCaptioner(
            self._section, folder, shared if self._timing is None else replace(shared, timing=self._timing)
        )
