"""From what an endpoint sent to a reply: lenient towards the form, strict about what counts as an answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import BaseModel, BeforeValidator, Field, ValidationError

from mova.endpoints.messages import JsonObject
from mova.endpoints.outcomes import Fault, Outcome, Reply, Usage
from mova.files.json_file import shorten_text

_MOST_TOKENS: Final = 10**9
_THOUGHT, _THOUGHT_END = "<think>", "</think>"
# All but ends of lines and tabs.
_CONTROL: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def _joined(content: object) -> object:
    """Return a content that some endpoints send as a list of parts as one text."""
    if isinstance(content, list):
        texts = [part.get("text", "") for part in content if isinstance(part, dict)]
        return "".join(text for text in texts if isinstance(text, str))
    return content


def _count(value: object) -> object:
    return 0 if not isinstance(value, int) or isinstance(value, bool) else min(max(value, 0), _MOST_TOKENS)


def _text_or_none(value: object) -> object:
    return value if isinstance(value, str) else ""


_Count = Annotated[int, BeforeValidator(_count)]
_Word = Annotated[str, BeforeValidator(_text_or_none)]


class _Message(BaseModel):
    content: Annotated[str | None, BeforeValidator(_joined)] = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Message = Field(default_factory=_Message)
    finish_reason: _Word = ""


class _Usage(BaseModel):
    prompt_tokens: _Count = 0
    completion_tokens: _Count = 0


class _Completion(BaseModel):
    choices: list[_Choice]
    usage: _Usage | None = None
    model: _Word = ""


# How a model begins that declines in plain words, where a text was asked for.
_DECLINES: Final = ("i'm sorry", "i am sorry", "i cannot", "i can't", "i'm unable", "i am unable", "抱歉", "对不起")
_LONGEST_DECLINE: Final = 400


def declines(text: str) -> bool:
    """Return whether a reply is a model's refusal in plain words, which no field of the reply says."""
    begun = text.strip().replace("’", "'").lower()
    return len(begun) < _LONGEST_DECLINE and begun.startswith(_DECLINES)


def plain(text: str) -> str:
    """Return a text that every file format can hold: no half characters, no control characters but ends of lines."""
    return _CONTROL.sub("", text.encode("utf-8", "replace").decode())


def without_thoughts(text: str) -> str:
    """Return a text without the thoughts that reasoning models write before, or between, what they say.

    A thought that never ends takes the rest of the text with it; one whose beginning was part of the template takes
    what comes before its end.
    """
    said, place = [], 0
    while (start := text.find(_THOUGHT, place)) >= 0:
        said.append(text[place:start])
        end = text.find(_THOUGHT_END, start)
        place = end + len(_THOUGHT_END) if end >= 0 else len(text)
    said.append(text[place:])
    return "".join(said).rpartition(_THOUGHT_END)[2].strip()


def json_of(text: str) -> str:
    """Return the JSON object in a text: without fences, and without words before and after it."""
    first, last = text.find("{"), text.rfind("}")
    return text[first : last + 1] if 0 <= first < last else text.strip()


def completion(body: JsonObject, request_id: str) -> Reply | Fault:
    """Return what a chat completion says.

    Args:
        body: as parsed.
        request_id: of the endpoint's logs.

    Returns:
        A fault where it is no chat completion.
    """
    try:
        parsed = _Completion.model_validate(body)
    except ValidationError:
        detail = f"the body is no chat completion: {_complaint(body)}"
        return Fault(Outcome.TRANSPORT, detail, again=True, request_id=request_id)
    usage = parsed.usage or _Usage()
    choice = parsed.choices[0] if parsed.choices else _Choice()
    text = without_thoughts(plain(choice.message.content or ""))
    outcome, detail = _outcome(parsed, choice, text)
    return Reply(
        outcome,
        text if outcome in (Outcome.OK, Outcome.LENGTH) else "",
        detail,
        finish_reason=plain(shorten_text(choice.finish_reason)),
        usage=Usage(usage.prompt_tokens, usage.completion_tokens),
        model=plain(shorten_text(parsed.model)),
        request_id=request_id,
    )


def _outcome(parsed: _Completion, choice: _Choice, text: str) -> tuple[Outcome, str]:
    if not parsed.choices:
        return Outcome.EMPTY, "the reply has no choices"
    if choice.message.refusal:
        return Outcome.REFUSED, plain(shorten_text(choice.message.refusal))
    match choice.finish_reason:
        case "content_filter":
            return Outcome.FILTERED, "finish_reason is content_filter"
        case "length":
            return Outcome.LENGTH, "the reply was cut at max_tokens"
        case _ if not text:
            return Outcome.EMPTY, "the reply has no text"
    return Outcome.OK, ""


def _complaint(body: Mapping[str, object]) -> str:
    error = body.get("error", body.get("message"))
    if isinstance(error, dict):
        error = error.get("message", error)
    return (
        plain(shorten_text(str(error))) if error else f"its keys are {plain(shorten_text(str(sorted(map(str, body)))))}"
    )
