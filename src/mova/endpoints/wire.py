"""One request through `openai`, which only this file imports: bounded in time and bytes, faults as data."""

from __future__ import annotations

import asyncio
import binascii
import json
from base64 import b64decode
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

from mova.endpoints.keys import hide, read_key
from mova.endpoints.messages import JsonObject
from mova.endpoints.outcomes import Fault, Outcome, Reply
from mova.endpoints.replies import completion, plain
from mova.endpoints.retry import RETRIED
from mova.endpoints.settings import EndpointSection
from mova.errors import DataError, MissingExtraError
from mova.files.json_file import parse_json, shorten_text

if TYPE_CHECKING:
    import httpx2
    import openai

MOST_REPLY_BYTES: Final = 8 * 2**20
MOST_IMAGE_BYTES: Final = 64 * 2**20
NOTHING_SAID: Final = "the reply has an empty text"
"""Detail of a transcription in which no word was heard; other empty replies have no text at all."""
_CONNECT_S: Final = 20.0
_FILTER_CODES: Final = ("content_filter", "content_policy_violation", "data_inspection_failed", "moderation_blocked")
_SPENT_CODE: Final = "insufficient_quota"
_Result = TypeVar("_Result")


class TooLargeError(Exception):
    """A body is larger than any reply, or in a form whose size nobody can know beforehand."""


def check_installed() -> None:
    """Check that calls are possible at all.

    Raises:
        MissingExtraError: `openai` is not installed.
    """
    try:
        import openai  # noqa: F401
    except ImportError as problem:
        raise MissingExtraError("openai", "endpoints") from problem


class Wire:
    """A connection to one endpoint; to be used inside one event loop and closed there.

    Args:
        section: how it is reached.
        most_bytes: that a body may have.

    Raises:
        MissingExtraError: `openai` is not installed.
        ConfigError: the environment variable of the key is not set.
    """

    def __init__(self, section: EndpointSection, *, most_bytes: int = MOST_REPLY_BYTES) -> None:
        check_installed()
        import openai

        self._key = read_key(section.api_key_env)
        self.host = urlsplit(section.base_url).netloc
        self._most_bytes = most_bytes
        # Headers that the library takes from the environment belong to another service, and so would a key.
        left_out = ("OpenAI-Organization", "OpenAI-Project", *(() if self._key else ("Authorization",)))
        self._headers = dict.fromkeys(left_out, openai.omit)
        self._client = openai.AsyncOpenAI(
            base_url=section.base_url,
            api_key=self._key or "none",
            max_retries=0,
            timeout=_timeout(section.timeout_s),
            http_client=openai.DefaultAsyncHttpxClient(
                follow_redirects=False,
                headers={"Accept-Encoding": "identity"},
                event_hooks={"response": [self._bound]},
                timeout=_timeout(section.timeout_s),
            ),
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()

    async def chat(self, body: Mapping[str, object], limit_s: float, *, stream: bool) -> Reply | Fault:
        """Ask for a chat completion once.

        Args:
            body: fields of the request.
            limit_s: seconds until it must be whole.
            stream: whether it comes in pieces.
        """

        async def send() -> Reply | Fault:
            # The library's overloads know the fields one by one.
            create: Any = self._client.chat.completions
            if stream:
                pieces = await create.create(
                    **body, extra_headers=self._headers, stream=True, stream_options={"include_usage": True}
                )
                return await self._assembled(pieces)
            raw = await create.with_raw_response.create(**body, extra_headers=self._headers)
            return completion(self._parsed(raw.http_response.content), _request_id(raw.http_response))

        return await self._guarded(send, limit_s)

    async def image(self, body: Mapping[str, object], limit_s: float) -> tuple[Reply, bytes] | Fault:
        """Ask for an image once; returns the bytes of its file beside the reply."""

        async def send() -> tuple[Reply, bytes] | Fault:
            images: Any = self._client.images.with_raw_response
            raw = await images.generate(**body, extra_headers=self._headers)
            request_id = _request_id(raw.http_response)
            data = self._parsed(raw.http_response.content).get("data")
            first = data[0] if isinstance(data, list) and data and isinstance(data[0], dict) else {}
            try:
                content = b64decode(str(first.get("b64_json") or ""), validate=True)
            except binascii.Error:
                content = b""
            if not content:
                detail = "the reply holds no image as base64 (b64_json)"
                return Reply(Outcome.EMPTY, detail=detail, request_id=request_id), b""
            return Reply(Outcome.OK, request_id=request_id), content

        return await self._guarded(send, limit_s)

    async def transcription(self, body: Mapping[str, object], wav: bytes, limit_s: float) -> Reply | Fault:
        """Ask once for what is said in a WAV file."""

        async def send() -> Reply | Fault:
            audio: Any = self._client.audio.transcriptions.with_raw_response
            raw = await audio.create(
                **body,
                extra_headers=self._headers,
                file=("audio.wav", wav, "audio/wav"),
                response_format="json",
            )
            request_id = _request_id(raw.http_response)
            text = self._parsed(raw.http_response.content).get("text")
            if not isinstance(text, str):
                return Reply(Outcome.EMPTY, detail="the reply has no text", request_id=request_id)
            if not text.strip():
                return Reply(Outcome.EMPTY, detail=NOTHING_SAID, request_id=request_id)
            return Reply(Outcome.OK, plain(text).strip(), request_id=request_id)

        return await self._guarded(send, limit_s)

    async def _guarded(self, send: Callable[[], Awaitable[_Result]], limit_s: float) -> _Result | Fault:
        """Do a request; whatever goes wrong on the way is a fault."""
        import httpx2
        import openai

        try:
            async with asyncio.timeout(limit_s):
                return await send()
        except TimeoutError:
            return Fault(Outcome.TIMEOUT, f"no whole reply within {limit_s:g} s")
        except openai.APIStatusError as problem:
            return self._status_fault(problem)
        except openai.APIConnectionError as problem:
            cause = problem.__cause__ or problem
            if isinstance(cause, httpx2.TimeoutException) and not isinstance(cause, httpx2.ConnectTimeout):
                return Fault(Outcome.TIMEOUT, f"no whole reply within {limit_s:g} s ({type(cause).__name__})")
            return self._fault(cause, again=not isinstance(cause, TooLargeError))
        except openai.APIError as problem:  # an error in the middle of a stream
            return self._fault(problem, again=True)
        except TooLargeError as problem:
            return self._fault(problem, again=False)
        except (httpx2.HTTPError, DataError, ValueError) as problem:
            return self._fault(problem, again=True)

    def _fault(self, problem: BaseException, *, again: bool) -> Fault:
        text = hide(f"{type(problem).__name__}: {problem}", self._key)
        return Fault(Outcome.TRANSPORT, plain(shorten_text(text)), again=again)

    def _status_fault(self, problem: openai.APIStatusError) -> Fault:
        status = problem.status_code
        text = hide(str(problem.message).removeprefix(f"Error code: {status} - "), self._key)
        detail = plain(shorten_text(f"HTTP {status}: {text}"))
        words = f"{problem.code} {text}".lower()
        if status < 500 and any(code in words for code in _FILTER_CODES):
            return Fault(Outcome.FILTERED, detail, status, request_id=problem.request_id or "")
        again = (status in RETRIED or status >= 500) and _SPENT_CODE not in words
        header = str(problem.response.headers.get("retry-after", ""))
        return Fault(Outcome.TRANSPORT, detail, status, again, header, problem.request_id or "")

    def _parsed(self, content: bytes) -> JsonObject:
        """Parse a body; a key that an endpoint repeats is taken out of it."""
        text = hide(content.decode("utf-8", "replace"), self._key)
        body = parse_json(text, "the body of the reply", error=DataError)
        if not isinstance(body, dict):
            raise DataError(f"the body of the reply must be a JSON object, got {type(body).__name__}")
        return body

    async def _assembled(self, pieces: openai.AsyncStream[Any]) -> Reply | Fault:
        """Put the pieces of a streamed completion together."""
        whole = _Pieces()
        async for piece in pieces:
            try:
                whole.add(piece.to_dict(warnings=False))
            except (TypeError, AttributeError) as problem:
                raise DataError("a piece of the stream is no chunk of a chat completion") from problem
        if not whole.finish:
            return Fault(Outcome.TRANSPORT, "the stream ended before the reply did", again=True)
        return completion(self._parsed(json.dumps(whole.body()).encode()), _request_id(pieces.response))

    async def _bound(self, response: httpx2.Response) -> None:
        """Let a body end at the limit, before anything has read it."""
        if response.headers.get("content-encoding", "identity").strip().lower() != "identity":
            raise TooLargeError("the body is compressed, which was not asked for: its size cannot be known")
        response.stream = _bounded(response.stream, self._most_bytes)


class _Pieces:
    """The pieces of a streamed completion so far."""

    def __init__(self) -> None:
        self._content: list[str] = []
        self._refusal: list[str] = []
        self._usage: object = None
        self._model: object = ""
        self.finish: object = None

    def add(self, chunk: Mapping[str, Any]) -> None:
        """Add a piece.

        Raises:
            TypeError or AttributeError: it has another form.
        """
        self._usage, self._model = chunk.get("usage") or self._usage, chunk.get("model") or self._model
        for choice in (chunk.get("choices") or [])[:1]:
            delta = choice.get("delta") or {}
            self._content.append("" + (delta.get("content") or ""))
            self._refusal.append("" + (delta.get("refusal") or ""))
            self.finish = choice.get("finish_reason") or self.finish

    def body(self) -> JsonObject:
        """Return what would have come in one piece."""
        message = {"content": "".join(self._content), "refusal": "".join(self._refusal) or None}
        choices = [{"message": message, "finish_reason": self.finish}]
        return {"choices": choices, "usage": self._usage, "model": self._model}


def _bounded(stream: object, most_bytes: int) -> httpx2.AsyncByteStream:
    import httpx2

    class Bounded(httpx2.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            seen = 0
            async for piece in stream:  # type: ignore[attr-defined]
                seen += len(piece)
                if seen > most_bytes:
                    raise TooLargeError(f"the body has more than {most_bytes} bytes")
                yield piece

        async def aclose(self) -> None:
            await stream.aclose()  # type: ignore[attr-defined]

    return Bounded()


def _timeout(seconds: float) -> httpx2.Timeout:
    import httpx2

    # The whole is bounded from outside; these bound the steps.
    return httpx2.Timeout(seconds, connect=min(_CONNECT_S, seconds))


def _request_id(response: httpx2.Response) -> str:
    return shorten_text(str(response.headers.get("x-request-id", "")))
