"""How an endpoint is reached and asked: one section for every recipe that names endpoints."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, ConfigDict, Field, JsonValue, model_validator

from mova.endpoints.keys import check_name
from mova.errors import ConfigError
from mova.recipe.base import Strict

_LONGEST_ADDRESS: Final = 2000
_OWN_FIELDS: Final = frozenset({"model", "messages", "max_tokens", "temperature", "stream", "response_format", "n"})


class AudioForm(StrEnum):
    """How audio is put into a message.

    Attributes:
        INPUT_AUDIO: as OpenAI defines it: base64 and the name of the format.
        AUDIO_URL: as vLLM and SGLang extend it: a data URL.
    """

    INPUT_AUDIO = "input_audio"
    AUDIO_URL = "audio_url"


class JsonMode(StrEnum):
    """How an endpoint is held to JSON, beside the words of the instruction.

    Attributes:
        SCHEMA: the schema is sent; endpoints that know it write nothing else.
        OBJECT: only that it must be one object.
        NONE: nothing is sent.
    """

    SCHEMA = "schema"
    OBJECT = "object"
    NONE = "none"


def check_base_url(url: str) -> str:
    """Return the address of an endpoint, without a slash at its end.

    Raises:
        ValueError: not http or https, without a host, or with a user, a password, a query or a fragment in it.
    """
    if len(url) > _LONGEST_ADDRESS or not url.isprintable() or " " in url:
        raise ValueError(f"must be an address of at most {_LONGEST_ADDRESS} printable characters without spaces")
    parts = urlsplit(url)
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ValueError("must hold neither user, password, query nor fragment; keys come from api_key_env")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must begin with http:// or https:// and name a host, for example http://127.0.0.1:8000/v1")
    if parts.port == 0:  # one that is no number, or out of range, is a ValueError of its own
        raise ValueError("must name a port from 1 to 65535, got 0")
    return url.rstrip("/")


BaseUrl = Annotated[str, AfterValidator(check_base_url)]


class EndpointSection(Strict):
    """One model behind an endpoint that speaks OpenAI's interface."""

    # What stands where a key's name belongs may be a key.
    model_config = ConfigDict(hide_input_in_errors=True)

    base_url: BaseUrl = Field(
        description="Address of the endpoint up to and with its version, as in http://host:8000/v1"
    )
    model: str = Field(min_length=1, max_length=300, description="Name of the model, as the endpoint knows it")
    api_key_env: str = Field(
        default="", description="Name of the environment variable that holds the key; empty for none"
    )
    max_tokens: int = Field(default=2048, ge=1, le=131_072, description="Tokens of a reply at most, thoughts included")
    temperature: float | None = Field(
        default=0.0, ge=0, le=2, description="Temperature; null leaves it to the endpoint"
    )
    timeout_s: float = Field(default=180, gt=0, le=3600, description="Seconds for one request, from first byte to last")
    deadline_s: float = Field(
        default=600, gt=0, le=86_400, description="Seconds for one call, with all its attempts and waits"
    )
    attempts: int = Field(
        default=5, ge=1, le=20, description="Requests of one call at most, where it pays to ask again"
    )
    json_mode: JsonMode = Field(
        default=JsonMode.SCHEMA, description="How the endpoint is held to JSON: schema, object or none"
    )
    audio_form: AudioForm = Field(
        default=AudioForm.INPUT_AUDIO, description="How audio is sent: input_audio or audio_url"
    )
    stream: bool = Field(
        default=False, description="Whether replies are streamed; some models of some providers insist on it"
    )
    extra_body: dict[str, JsonValue] = Field(default_factory=dict, description="Further fields of each request")

    @model_validator(mode="after")
    def _fits(self) -> EndpointSection:
        try:
            check_name(self.api_key_env)
        except ConfigError as problem:
            raise ValueError(str(problem)) from None
        taken = sorted(_OWN_FIELDS & set(self.extra_body))
        if taken:
            raise ValueError(f"extra_body must not hold what has a key of its own or is set by the caller: {taken}")
        return self
