"""The captioner that asks models: all clips of a unit at a time, as far as the limit of calls allows."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeVar

from mova.curate.caption.compose import compose, speech_text, with_subtitles_note
from mova.curate.caption.evidence import invented, voice_s, without_text
from mova.curate.caption.media import Shown, show
from mova.curate.caption.reports import MergeReport, SpeechReport, VisualReport
from mova.curate.caption.writers import Parts, write_audio, write_merged, write_speech, write_visual
from mova.curate.config.caption import ROLES, CaptionSection
from mova.curate.records import Caption, ClipRecord, State
from mova.endpoints.client import Client, Shared
from mova.endpoints.outcomes import Answer, Outcome, Reply, fatal
from mova.endpoints.settings import EndpointSection
from mova.errors import MovaError, StageError
from mova.files.json_file import shorten_text

_Result = TypeVar("_Result")
_CALLS_PER_CLIP: Final = 3
# Less than this is a laugh or a breath.
_SPEECH_TO_WRITE_S: Final = 1.0


@dataclass(frozen=True)
class _Heard:
    """What became of a clip's audio."""

    speech: Answer[SpeechReport]
    audio: Reply


class OnlineCaptioner:
    """Captions of clips by models behind endpoints.

    Args:
        section: of the recipe, with an endpoint for each role.
        folder: output folder of the run.
        shared: what all calls share.
    """

    def __init__(self, section: CaptionSection, folder: Path, shared: Shared) -> None:
        self._section, self._folder, self._shared = section, folder, shared
        self._in_flight = asyncio.Semaphore(section.concurrency // _CALLS_PER_CLIP + 1)
        self._clients: Mapping[str, Client] = {}
        self._without_reply = 0

    async def caption(self, clips: tuple[ClipRecord, ...]) -> tuple[ClipRecord, ...]:
        """Return the clips with captions, in the same order; those that could not be captioned are failed.

        Raises:
            StageError: the budget is spent, or an endpoint takes no request at all: the run ends, to be resumed.
            MissingExtraError: `openai` is not installed.
            ConfigError: the environment variable of a key is not set.
        """
        async with AsyncExitStack() as held:
            self._clients = {
                role: await held.enter_async_context(Client(self._endpoint(role), self._shared)) for role in ROLES
            }
            return tuple(await _together([self._clip(clip) for clip in clips]))

    async def _clip(self, record: ClipRecord) -> ClipRecord:
        async with self._in_flight:
            visual_section = self._section.visual
            assert visual_section is not None
            frames, short_side = visual_section.frames, visual_section.short_side
            try:
                shown = await asyncio.to_thread(show, self._folder / record.path, frames=frames, short_side=short_side)
            except MovaError as problem:
                return _failed(record, f"clip_unreadable: {problem}")
            visual, heard = await asyncio.gather(self._look(record, shown), self._listen(record, shown))
        record = self._with_parts(record, visual, heard)
        if visual.value is None:
            return _failed(record, f"caption_{visual.reply.outcome}: visual: {visual.reply.detail}")
        return await self._merge(record, self._parts(record, visual.value, heard))

    async def _look(self, record: ClipRecord, shown: Shown) -> Answer[VisualReport]:
        answer = await write_visual(self._clients["visual"], shown, f"visual {record.clip_id}")
        self._watch("visual", answer.reply)
        return answer

    async def _listen(self, record: ClipRecord, shown: Shown) -> _Heard | None:
        """Return None where there is nothing to be heard."""
        if shown.audio is None:
            return None
        section = self._section.audio
        assert section is not None
        speech, audio = await asyncio.gather(
            write_speech(self._clients["speech"], shown.audio, shown.duration_s, f"speech {record.clip_id}"),
            write_audio(self._clients["audio"], shown.audio, section.request, f"audio {record.clip_id}"),
        )
        self._watch("speech", speech.reply)
        self._watch("audio", audio)
        return _Heard(speech, audio)

    def _with_parts(self, record: ClipRecord, visual: Answer[VisualReport], heard: _Heard | None) -> ClipRecord:
        """Return a record with the captions of the parts, and marks for what is wrong or doubtful."""
        marks = []
        seen = visual.value.video_visual_report.visual_description if visual.value else ""
        captions = {"visual": self._kept("visual", seen or "", visual.reply)}
        if visual.value and not visual.value.final_verification_audit.hallucination_check_passed:
            marks.append("visual_audit_failed")
        if heard is None:
            captions |= {
                "speech": Caption("", str(Outcome.EMPTY), ""),
                "audio": Caption("The audio is silent.", model=""),
            }
            return replace(record, captions=captions)
        said = heard.speech.value.speech_transcription_report.utterances if heard.speech.value else ()
        captions["speech"] = self._kept("speech", speech_text(said), heard.speech.reply)
        captions["audio"] = self._kept("audio", heard.audio.text, heard.audio)
        marks += [f"{name}_caption_{captions[name].outcome}" for name in ("speech", "audio") if not _ok(captions[name])]
        if heard.speech.value:
            voiced_s = voice_s(record)
            if not heard.speech.value.final_verification_audit.hallucination_check_passed:
                marks.append("speech_audit_failed")
            if invented(said, record):
                marks.append("invented_speech")
            elif said and voiced_s is None:
                marks.append("speech_not_verified")
            elif not said and (voiced_s or 0.0) > _SPEECH_TO_WRITE_S:
                marks.append("speech_not_transcribed")
        return _marked(replace(record, captions=captions), *marks)

    def _parts(self, record: ClipRecord, report: VisualReport, heard: _Heard | None) -> Parts:
        """Return what goes into the merged caption: words that nobody can have said do not."""
        seen = report.video_visual_report
        visual, texts = seen.visual_description or "", tuple(seen.on_screen_text or ())
        if heard is None:
            return Parts(visual, texts, audio=record.captions["audio"].text)
        said = heard.speech.value.speech_transcription_report.utterances if heard.speech.value else ()
        if "invented_speech" in record.marks:
            said = ()
        return Parts(visual, texts, said, heard.audio.text if heard.audio.outcome is Outcome.OK else "")

    async def _merge(self, record: ClipRecord, parts: Parts) -> ClipRecord:
        """Return a record with its merged caption; where the merge failed, the parts by rule, and a mark."""
        no_subtitles = without_text(record)
        plain = compose(parts.visual, parts.utterances, parts.audio, no_subtitles=no_subtitles)
        if not (parts.visual or parts.utterances or parts.audio):
            return _failed(record, "caption_empty: nothing is seen, said or heard")
        answer: Answer[MergeReport] = await write_merged(self._clients["merge"], parts, f"merge {record.clip_id}")
        self._watch("merge", answer.reply)
        if answer.value is None:
            record = _marked(record, "merge_failed")
            text = plain
        else:
            text = with_subtitles_note(answer.value.merged_caption.strip(), no_subtitles=no_subtitles)
        merged = replace(self._kept("merge", "", answer.reply), text=text)
        return replace(record, captions={**record.captions, "merged": merged})

    def _kept(self, role: str, text: str, reply: Reply) -> Caption:
        """Return a part as it stands in the table; what did not come whole is no caption."""
        return Caption(
            text=text if reply.outcome is Outcome.OK else "",
            outcome=str(reply.outcome),
            model=self._endpoint(role).model,
            prompt_sha256=reply.prompt_sha256,
            tokens_in=reply.usage.tokens_in,
            tokens_out=reply.usage.tokens_out,
        )

    def _watch(self, role: str, reply: Reply) -> None:
        """End the run where going on would only make failed clips."""
        if reply.outcome is Outcome.BUDGET:
            raise StageError(f"{reply.detail}; raise caption.budget and run again: what was answered is kept")
        section, detail = self._endpoint(role), shorten_text(reply.detail)
        if fatal(reply):
            raise StageError(
                f"the endpoint of {role} ({section.base_url}, model {section.model}) takes no request: {detail}; "
                "mend the recipe or the key and run again: what was answered is kept"
            )
        self._without_reply = self._without_reply + 1 if reply.outcome in (Outcome.TRANSPORT, Outcome.TIMEOUT) else 0
        if self._without_reply >= self._section.give_up_after:
            raise StageError(
                f"{self._without_reply} calls in a row brought no reply, the last one of {role} ({section.base_url}): "
                f"{detail}; run again when the endpoint answers: what was answered is kept"
            )

    def _endpoint(self, role: str) -> EndpointSection:
        found = getattr(self._section, role)
        assert isinstance(found, EndpointSection)
        return found


async def _together(works: Sequence[Coroutine[None, None, _Result]]) -> list[_Result]:
    """Return the results of works that are done at a time; the first error ends all of them, and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work) for work in works]
    except BaseExceptionGroup as errors:
        raise _first(errors) from None
    return [task.result() for task in tasks]


def _first(error: BaseException) -> BaseException:
    return _first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


def _ok(caption: Caption) -> bool:
    return caption.outcome == Outcome.OK


def _marked(record: ClipRecord, *marks: str) -> ClipRecord:
    return replace(record, marks=tuple(dict.fromkeys((*record.marks, *marks))))


def _failed(record: ClipRecord, reason: str) -> ClipRecord:
    return replace(record, state=State.FAILED, reasons=(*record.reasons, shorten_text(reason, 600)))
