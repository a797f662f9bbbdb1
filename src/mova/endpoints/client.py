"""The client of an endpoint: chat, replies of a given form, images, transcription; outcomes as data, nothing raised."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Final, Self, TypeVar

from pydantic import BaseModel, ValidationError

from mova.endpoints.budget import Budget, MemoryBudget
from mova.endpoints.cache import Cache, NoCache, request_sha256
from mova.endpoints.messages import Audio, JsonObject, Message, assistant, prompt_sha256, tokens_of, user
from mova.endpoints.outcomes import Answer, Fault, Outcome, Reply
from mova.endpoints.records import CallRecord, MemoryRecords, Records
from mova.endpoints.replies import json_of
from mova.endpoints.retry import Timing, wait_s
from mova.endpoints.settings import EndpointSection, JsonMode
from mova.endpoints.wire import MOST_IMAGE_BYTES, MOST_REPLY_BYTES, Wire
from mova.files.json_file import shorten_text

_Model = TypeVar("_Model", bound=BaseModel)
_MOST_COMPLAINTS: Final = 8
_MOST_REPEATED: Final = 8000
_IMAGE_TOKENS: Final = 4000
_PIECE_BYTES: Final = 1024


@dataclass(frozen=True)
class Shared:
    """What the clients of a run share.

    Attributes:
        slots: how many calls may be under way at a time; waits between attempts count.
        budget: what calls are taken from.
        cache: where replies are looked up before anything is sent.
        records: where each call is noted.
        timing: clocks and chance.
    """

    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(8))
    budget: Budget = field(default_factory=MemoryBudget)
    cache: Cache = field(default_factory=NoCache)
    records: Records = field(default_factory=MemoryRecords)
    timing: Timing = field(default_factory=Timing)


@dataclass(frozen=True)
class _Call:
    """One call: what is sent, and what is noted of it."""

    label: str
    kind: str
    body: Mapping[str, object]
    prompt_sha256: str
    held_tokens: int


class Client:
    """One model behind one endpoint. An async context manager, for one event loop.

    Args:
        section: how it is reached and asked.
        shared: slots, budget, cache, records and clocks; by default its own.

    Raises:
        MissingExtraError: (on entry) `openai` is not installed.
        ConfigError: (on entry) the environment variable of the key is not set.
        StageError: (by calls) budget, cache or records cannot be read or written.
    """

    def __init__(self, section: EndpointSection, shared: Shared | None = None) -> None:
        self._section = section
        self._shared = shared or Shared()
        # Each piece of a streamed reply comes with half a kilobyte about itself.
        self._most_bytes = MOST_REPLY_BYTES + (section.max_tokens * _PIECE_BYTES if section.stream else 0)
        self._wires: dict[int, Wire] = {}

    async def __aenter__(self) -> Self:
        self._wire(self._most_bytes)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for wire in self._wires.values():
            await wire.close()
        self._wires.clear()

    async def chat(
        self, messages: Sequence[Message], label: str = "", *, schema: type[BaseModel] | None = None
    ) -> Reply:
        """Ask for a text.

        Args:
            messages: what is said so far.
            label: what the call is for, for the record.
            schema: form that the endpoint is asked to hold the reply to; the reply is not checked.
        """
        section = self._section
        body: JsonObject = {
            "model": section.model,
            "messages": [message.wire(section.audio_form) for message in messages],
            "max_tokens": section.max_tokens,
        }
        if section.temperature is not None:
            body["temperature"] = section.temperature
        if schema is not None and section.json_mode is not JsonMode.NONE:
            body["response_format"] = _response_format(schema, section.json_mode)
        if section.extra_body:
            body["extra_body"] = section.extra_body
        held = tokens_of(messages) + section.max_tokens
        call = _Call(label, "chat", body, prompt_sha256(messages), held)
        wire = self._wire(self._most_bytes)
        return await self._recorded(call, lambda limit_s: wire.chat(body, limit_s, stream=section.stream))

    async def ask(self, messages: Sequence[Message], schema: type[_Model], label: str = "") -> Answer[_Model]:
        """Ask for a reply of a given form; one that does not have it is asked to be written anew, once.

        Args:
            messages: what is said so far; they describe the form in words.
            schema: form of the reply.
            label: what the call is for, for the record.
        """
        first = await self.chat(messages, label, schema=schema)
        if first.outcome is not Outcome.OK:
            return Answer(first, None)
        value, complaint = _checked(first.text, schema)
        if value is not None:
            return Answer(first, value)
        repaired = [*messages, assistant(shorten_text(first.text, _MOST_REPEATED)), user(_repair_request(complaint))]
        second = await self.chat(repaired, f"{label} repair".strip(), schema=schema)
        second = replace(
            second,
            usage=first.usage + second.usage,
            attempts=first.attempts + second.attempts,
            seconds=first.seconds + second.seconds,
            prompt_sha256=first.prompt_sha256,
        )
        if second.outcome is not Outcome.OK:
            return Answer(second, None)
        value, complaint = _checked(second.text, schema)
        if value is None:
            second = replace(second, outcome=Outcome.INVALID, detail=shorten_text(complaint))
        return Answer(second, value)

    async def image(self, prompt: str, size: str, label: str = "") -> Answer[bytes]:
        """Ask for an image.

        Args:
            prompt: what is to be seen.
            size: as the endpoint writes it, for example "1280x720".
            label: what the call is for, for the record.

        Returns:
            The bytes of an image file, of whatever format; look at it as at a stranger's.
        """
        body: JsonObject = {"model": self._section.model, "prompt": prompt, "size": size, "n": 1}
        body |= {"response_format": "b64_json"}
        if self._section.extra_body:
            body["extra_body"] = self._section.extra_body
        call = _Call(label, "image", body, prompt_sha256([user(prompt)]), _IMAGE_TOKENS)
        wire, found = self._wire(MOST_IMAGE_BYTES), [b""]

        async def send(limit_s: float) -> Reply | Fault:
            result = await wire.image(body, limit_s)
            if isinstance(result, Fault):
                return result
            found[0] = result[1]
            return result[0]

        # The text of a reply is what is kept on disk, and an image has none.
        reply = await self._recorded(call, send, use_cache=False)
        return Answer(reply, found[0] if reply.outcome is Outcome.OK else None)

    async def transcribe(self, audio: Audio, label: str = "", *, language: str = "") -> Reply:
        """Ask for the words that are said.

        Args:
            audio: what is heard.
            label: what the call is for, for the record.
            language: ISO 639-1 code; "" lets the model find out.
        """
        body: JsonObject = {"model": self._section.model}
        if language:
            body["language"] = language
        if self._section.temperature is not None:
            body["temperature"] = self._section.temperature
        hashed = body | {"wav": audio.wav.hex()}
        call = _Call(label, "transcription", hashed, prompt_sha256([]), audio.tokens + self._section.max_tokens)
        wire = self._wire(self._most_bytes)
        return await self._recorded(call, lambda limit_s: wire.transcription(body, audio.wav, limit_s))

    def _wire(self, most_bytes: int) -> Wire:
        if most_bytes not in self._wires:
            self._wires[most_bytes] = Wire(self._section, most_bytes=most_bytes)
        return self._wires[most_bytes]

    async def _recorded(
        self, call: _Call, send: Callable[[float], Awaitable[Reply | Fault]], *, use_cache: bool = True
    ) -> Reply:
        digest = request_sha256(call.kind, self._section.model, call.body)
        reply = self._shared.cache.get(digest) if use_cache else None
        if reply is None:
            async with self._shared.slots:
                reply = replace(await self._persist(call, send), prompt_sha256=call.prompt_sha256)
            if use_cache:
                self._shared.cache.put(digest, reply)
        self._shared.records.add(self._record(call, digest, reply))
        return reply

    async def _persist(self, call: _Call, send: Callable[[float], Awaitable[Reply | Fault]]) -> Reply:
        """Send a call until it ends in something that another attempt would not change."""
        section, timing, budget = self._section, self._shared.timing, self._shared.budget
        begun = timing.monotonic()
        attempt = 0
        while True:
            left_s = section.deadline_s - (timing.monotonic() - begun)
            if not budget.take(call.held_tokens):
                spent = budget.spent()
                detail = f"the budget is spent: {spent.calls} calls, {spent.tokens} tokens"
                return Reply(Outcome.BUDGET, detail=detail, attempts=attempt, seconds=timing.monotonic() - begun)
            attempt += 1
            result = await self._settled(call, send, min(section.timeout_s, left_s))
            seconds = timing.monotonic() - begun
            if isinstance(result, Reply):
                return replace(result, attempts=attempt, seconds=seconds)
            pause_s = wait_s(attempt, result.retry_after, timing)
            if not result.again or attempt >= section.attempts or seconds + pause_s >= section.deadline_s:
                return Reply(
                    result.outcome,
                    detail=result.detail,
                    status=result.status,
                    request_id=result.request_id,
                    attempts=attempt,
                    seconds=seconds,
                )
            await timing.sleep(pause_s)

    async def _settled(
        self, call: _Call, send: Callable[[float], Awaitable[Reply | Fault]], limit_s: float
    ) -> Reply | Fault:
        used = call.held_tokens  # of what is broken off from outside nobody knows what it cost
        try:
            result = await send(limit_s)
            if isinstance(result, Reply):
                used = result.usage.tokens or call.held_tokens
            elif result.outcome is not Outcome.TIMEOUT:
                used = 0
            return result
        finally:
            self._shared.budget.settle(call.held_tokens, used)

    def _record(self, call: _Call, digest: str, reply: Reply) -> CallRecord:
        return CallRecord(
            label=call.label,
            kind=call.kind,
            host=next(iter(self._wires.values())).host,
            model=self._section.model,
            prompt_sha256=call.prompt_sha256,
            request_sha256=digest,
            max_tokens=self._section.max_tokens,
            temperature=self._section.temperature,
            outcome=reply.outcome,
            finish_reason=reply.finish_reason,
            detail=reply.detail,
            status=reply.status,
            tokens_in=reply.usage.tokens_in,
            tokens_out=reply.usage.tokens_out,
            attempts=reply.attempts,
            seconds=round(reply.seconds, 3),
            request_id=reply.request_id,
            cached=reply.cached,
            at=round(self._shared.timing.wall(), 3),
        )


def _response_format(schema: type[BaseModel], mode: JsonMode) -> JsonObject:
    if mode is JsonMode.OBJECT:
        return {"type": "json_object"}
    form = {"name": schema.__name__, "schema": schema.model_json_schema(), "strict": True}
    return {"type": "json_schema", "json_schema": form}


def _checked(text: str, schema: type[_Model]) -> tuple[_Model | None, str]:
    """Return a value and "", or None and what is wrong with the text."""
    try:
        return schema.model_validate_json(json_of(text)), ""
    except ValidationError as problem:
        faults = problem.errors(include_url=False, include_input=False, include_context=False)[:_MOST_COMPLAINTS]
        lines = [f"{'.'.join(map(str, fault['loc'])) or 'the reply'}: {fault['msg']}" for fault in faults]
        return None, shorten_text("; ".join(lines), 1000)


def _repair_request(complaint: str) -> str:
    return (
        f"That reply cannot be read: {complaint}. Write the whole reply anew as one JSON object of the form that was "
        "asked for. Nothing may stand before or after it."
    )
