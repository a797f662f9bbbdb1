"""The client against a server that fails in every way that real ones do."""

import asyncio
import json
import random

import numpy as np
import pytest

from endpoint_calls import Report, ask, call
from fake_endpoint import (
    KEY_ENV,
    TurnedClock,
    cut,
    draws,
    drips,
    floods,
    hangs,
    retry_date,
    says,
    sends,
    status,
    streams,
    tells,
)
from mova.endpoints.cache import FileCache
from mova.endpoints.client import Client, Shared
from mova.endpoints.messages import Audio, Image, system, user
from mova.endpoints.outcomes import Outcome
from mova.endpoints.retry import LONGEST_RETRY_AFTER_S
from mova.endpoints.settings import AudioForm, EndpointSection, JsonMode
from mova.errors import ConfigError


@pytest.fixture
def fake(served):
    served.reset(says("hello"))
    return served


@pytest.fixture
def clock():
    return TurnedClock()


def test_a_reply_comes_with_what_is_known_of_it(fake, clock):
    reply = call(fake, clock)
    assert (reply.outcome, reply.text, reply.finish_reason) == (Outcome.OK, "hello", "stop")
    assert (reply.usage.tokens_in, reply.usage.tokens_out) == (100, 20)
    assert (reply.model, reply.request_id, reply.attempts, reply.cached) == ("fake-model", "req-7", 1, False)


def test_what_is_sent_is_what_the_settings_say(fake, clock):
    image, audio = Image.of(np.zeros((32, 32, 3), np.uint8)), Audio.of(np.zeros(1600, np.float32), 16000)
    messages = [system("be brief"), user("look", image, audio)]
    more = {"max_tokens": 77, "temperature": 0.5, "extra_body": {"reasoning_effort": "low"}}
    call(fake, clock, lambda client: client.chat(messages, schema=Report), **more)
    path, body, headers = fake.requests[0]
    assert path == "/v1/chat/completions"
    assert "authorization" not in headers
    assert (body["model"], body["max_tokens"], body["temperature"]) == ("asked", 77, 0.5)
    assert body["reasoning_effort"] == "low"
    assert body["response_format"]["json_schema"]["schema"] == Report.model_json_schema()
    told, asked = body["messages"]
    assert told == {"role": "system", "content": "be brief"}
    assert [part["type"] for part in asked["content"]] == ["text", "image_url", "input_audio"]
    assert asked["content"][1]["image_url"]["url"].startswith("data:image/jpeg;base64,")
    assert asked["content"][2]["input_audio"]["format"] == "wav"


def test_forms_that_not_every_endpoint_takes_can_be_left_out(fake, clock):
    audio = Audio.of(np.zeros(1600, np.float32), 16000)
    more = {"json_mode": JsonMode.OBJECT, "audio_form": AudioForm.AUDIO_URL, "temperature": None}
    call(fake, clock, lambda client: client.chat([user(audio)], schema=Report), **more)
    body = fake.requests[0][1]
    assert body["response_format"] == {"type": "json_object"}
    assert body["messages"][0]["content"][0]["audio_url"]["url"].startswith("data:audio/wav;base64,")
    assert "temperature" not in body
    call(fake, clock, lambda client: client.chat([user("x")], schema=Report), json_mode=JsonMode.NONE)
    assert "response_format" not in fake.requests[1][1]


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (says("half", "length"), Outcome.LENGTH),
        (says("some", "content_filter"), Outcome.FILTERED),
        (says(None, refusal="I will not"), Outcome.REFUSED),
        (says(None), Outcome.EMPTY),
        (says(" \n "), Outcome.EMPTY),
        (says("<think>only thoughts"), Outcome.EMPTY),
        (says("x", choices=[]), Outcome.EMPTY),
        (status(400, "bad", error_code="content_filter"), Outcome.FILTERED),
        (status(400, "bad"), Outcome.TRANSPORT),
        (status(401), Outcome.TRANSPORT),
        (status(404), Outcome.TRANSPORT),
        (status(429, error_code="insufficient_quota"), Outcome.TRANSPORT),
        (status(302, headers={"Location": "http://127.0.0.1:9/"}), Outcome.TRANSPORT),
        (floods(), Outcome.TRANSPORT),
        (floods(500), Outcome.TRANSPORT),
        (sends(b"\x1f\x8b", headers={"Content-Encoding": "gzip"}), Outcome.TRANSPORT),
    ],
)
def test_an_outcome_that_would_come_again_is_not_asked_for_again(fake, clock, answer, outcome):
    fake.reset(answer)
    reply = call(fake, clock)
    assert reply.outcome is outcome
    assert reply.detail
    assert len(fake.requests) == 1
    assert clock.slept == []


@pytest.mark.parametrize(
    "answer",
    [
        status(408),
        status(409),
        status(429),
        status(500),
        status(503),
        cut,
        sends(b"<html>busy</html>", "text/html"),
        sends(b"[1]"),
        sends(b'{"error": "overloaded"}'),
        sends(b"[" * 100_000),
        sends(b'{"choices": 5}'),
        sends(b'{"choices": [{"message": {"content": 5}}]}'),
    ],
)
def test_what_may_pass_is_asked_again(fake, clock, answer):
    fake.reset(answer, answer, says("at last"))
    reply = call(fake, clock)
    assert (reply.outcome, reply.text, reply.attempts) == (Outcome.OK, "at last", 3)
    assert len(clock.slept) == 2
    assert 0.25 <= clock.slept[0] <= 0.5
    assert 0.5 <= clock.slept[1] <= 1.0


def test_what_is_known_of_a_fault_can_be_written_anywhere(fake, clock):
    fake.reset(sends(b'{"error": {"message": "half \\ud800 and \\u0000 none"}}', headers={"x-request-id": "r"}))
    detail = call(fake, clock, attempts=1).detail
    assert "half" in detail
    assert detail.encode().decode() == detail
    assert "\x00" not in detail


def test_it_is_not_asked_for_ever(fake, clock):
    fake.reset(status(500, "broken"))
    reply = call(fake, clock, attempts=3)
    assert (reply.outcome, reply.status, reply.attempts) == (Outcome.TRANSPORT, 500, 3)
    assert "broken" in reply.detail


def test_the_deadline_ends_the_attempts(fake, clock):
    fake.reset(status(429, headers={"Retry-After": "100"}))
    reply = call(fake, clock, attempts=20, deadline_s=250)
    assert (reply.outcome, reply.status, reply.attempts) == (Outcome.TRANSPORT, 429, 3)


@pytest.mark.parametrize(
    ("headers", "least", "most"),
    [
        ({"Retry-After": "7"}, 7, 7.5),
        (retry_date(30), 30, 30.5),
        (retry_date(-30), 0, 0.5),
        ({"Retry-After": "100000"}, LONGEST_RETRY_AFTER_S, LONGEST_RETRY_AFTER_S + 0.5),
        ({"Retry-After": "soon"}, 0.25, 0.5),
        ({"Retry-After": "nan"}, 0.25, 0.5),
        ({"Retry-After": "-5"}, 0, 0.5),
    ],
)
def test_an_endpoint_says_when_to_come_back(fake, clock, headers, least, most):
    fake.reset(status(429, headers=headers), says("yes"))
    assert call(fake, clock).outcome is Outcome.OK
    assert least <= clock.slept[0] <= most


@pytest.mark.parametrize("answer", [hangs(), drips(), drips(b"data: {}\n\n", 0.02, "text/event-stream")])
@pytest.mark.parametrize("stream", [False, True])
def test_a_reply_that_takes_too_long_is_given_up(fake, clock, answer, stream):
    fake.reset(answer)

    async def main():
        settings = EndpointSection(base_url=fake.base_url, model="m", timeout_s=0.5, stream=stream)
        async with Client(settings, Shared(timing=clock.timing())) as client:
            return await client.chat([user("hi")])

    reply = asyncio.run(main())
    assert reply.outcome is Outcome.TIMEOUT
    assert len(fake.requests) <= 1, "the endpoint may be at work on it: to ask again would cost again"


def test_nobody_listens(fake, clock):
    async def main():
        settings = EndpointSection(base_url="http://127.0.0.1:9/v1", model="m", attempts=2)
        async with Client(settings, Shared(timing=clock.timing())) as client:
            return await client.chat([user("hi")])

    reply = asyncio.run(main())
    assert (reply.outcome, reply.status, reply.attempts) == (Outcome.TRANSPORT, 0, 2)


def test_a_streamed_reply_is_put_together(fake, clock):
    fake.reset(streams("he", "llo", " Ünï"))
    reply = call(fake, clock, stream=True)
    assert (reply.outcome, reply.text, reply.usage.tokens_in) == (Outcome.OK, "hello Ünï", 50)
    assert fake.requests[0][1]["stream"] is True


@pytest.mark.parametrize(
    "answer",
    [
        streams("half", finish=None),
        streams("half", finish=None, done=False),
        sends(b"data: {broken\n\n", "text/event-stream"),
        sends(b'data: {"error": {"message": "overloaded"}}\n\n', "text/event-stream"),
        sends(b"data: [1]\n\n", "text/event-stream"),
        sends(b'data: {"choices": [3]}\n\n', "text/event-stream"),
        sends(b'data: {"choices": [{"delta": {"content": 7}}]}\n\n', "text/event-stream"),
    ],
)
def test_a_stream_that_is_cut_is_asked_for_again(fake, clock, answer):
    fake.reset(answer, streams("whole"))
    reply = call(fake, clock, stream=True)
    assert (reply.outcome, reply.text, reply.attempts) == (Outcome.OK, "whole", 2)


def test_a_stream_without_end_is_cut_at_the_bound(fake, clock):
    piece = b'data: {"choices": [{"delta": {"content": "' + b"x" * 60_000 + b'"}}]}\n\n'
    fake.reset(floods(piece=piece))
    assert call(fake, clock, stream=True).outcome is Outcome.TRANSPORT


def test_thoughts_are_left_out(fake, clock):
    fake.reset(says('<think>{"no": 1}</think>\n\nthe answer'))
    assert call(fake, clock).text == "the answer"


@pytest.mark.parametrize(
    "text",
    [
        '{"title": "t", "events": null}',
        '```json\n{"title": "t", "events": null}\n```',
        '<think>{"title": 5}</think> Here it is: {"title": "t", "events": null} Done.',
    ],
)
def test_a_reply_of_the_form_becomes_a_value(fake, clock, text):
    fake.reset(says(text))
    answer = ask(fake, clock)
    assert answer.value == Report(title="t", events=None)
    assert len(fake.requests) == 1


def test_a_reply_of_another_form_is_repaired_once(fake, clock):
    fake.reset(says('{"title": 5}'), tells({"title": "字幕", "events": ["a"]}))
    answer = ask(fake, clock)
    assert answer.value == Report(title="字幕", events=["a"])
    assert answer.reply.usage.tokens_in == 200
    repeated = fake.requests[1][1]["messages"]
    assert [message["role"] for message in repeated] == ["user", "assistant", "user"]
    assert repeated[1]["content"] == '{"title": 5}'
    assert "title" in repeated[2]["content"]
    assert "events" in repeated[2]["content"]


def test_a_reply_that_is_never_of_the_form_is_invalid(fake, clock):
    fake.reset(says("I think that the title is hard to say"))
    answer = ask(fake, clock)
    assert (answer.reply.outcome, answer.value) == (Outcome.INVALID, None)
    assert len(fake.requests) == 2


@pytest.mark.parametrize("outcome", [Outcome.LENGTH, Outcome.REFUSED, Outcome.FILTERED])
def test_a_reply_that_is_none_is_not_repaired(fake, clock, outcome):
    answers = {
        Outcome.LENGTH: says('{"title', "length"),
        Outcome.REFUSED: says(None, refusal="no"),
        Outcome.FILTERED: says(None, "content_filter"),
    }
    fake.reset(answers[outcome])
    answer = ask(fake, clock)
    assert (answer.reply.outcome, answer.value, len(fake.requests)) == (outcome, None, 1)


def test_a_key_that_is_not_there_is_missed_at_the_start(fake, clock, monkeypatch):
    monkeypatch.delenv(KEY_ENV, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-someone-else")
    with pytest.raises(ConfigError, match=KEY_ENV):
        call(fake, clock, api_key_env=KEY_ENV)
    call(fake, clock)
    assert "sk-of-someone-else" not in json.dumps(fake.requests[0][2])


def test_an_image_comes_as_bytes(fake, clock):
    fake.reset(draws(b"bytes of a file"))
    answer = call(fake, clock, lambda client: client.image("a red ball", "1280x720"))
    assert (answer.reply.outcome, answer.value) == (Outcome.OK, b"bytes of a file")
    path, body, _ = fake.requests[0]
    assert path == "/v1/images/generations"
    assert (body["prompt"], body["size"], body["response_format"]) == ("a red ball", "1280x720", "b64_json")


@pytest.mark.parametrize(
    "answer",
    [
        draws(b"", b64_json=None, url="http://127.0.0.1/x"),
        draws(b"", b64_json="*"),
        sends(b'{"data": []}'),
        sends(b"{}"),
    ],
)
def test_an_image_elsewhere_is_not_fetched(fake, clock, answer):
    fake.reset(answer)
    answer = call(fake, clock, lambda client: client.image("a red ball", "1280x720"))
    assert (answer.reply.outcome, answer.value, len(fake.requests)) == (Outcome.EMPTY, None, 1)


def test_speech_is_transcribed(fake, clock, tmp_path):
    fake.reset(sends('{"text": " Grüß Gott "}'.encode()))
    audio = Audio.of(np.random.default_rng(0).uniform(-1, 1, 1600).astype(np.float32), 16000)
    shared = Shared(cache=FileCache(tmp_path), timing=clock.timing())
    replies = [call(fake, clock, lambda c: c.transcribe(audio, language="de"), shared=shared) for _ in range(2)]
    assert [(reply.outcome, reply.text, reply.cached) for reply in replies] == [
        (Outcome.OK, "Grüß Gott", False),
        (Outcome.OK, "Grüß Gott", True),
    ]
    path, body, _ = fake.requests[0]
    assert path == "/v1/audio/transcriptions"
    assert audio.wav in body
    assert b'name="language"' in body


def test_noise_in_place_of_a_reply_is_an_outcome(fake, clock):
    """Mutated replies: whatever comes, the call ends in an outcome."""
    chance = random.Random(0)
    whole = b'{"choices": [{"message": {"content": "hi", "refusal": null}, "finish_reason": "stop"}], "usage": null}'

    def noise(_):
        mutated = bytearray(whole)
        for _ in range(chance.randrange(1, 6)):
            mutated[chance.randrange(len(mutated))] = chance.choice(b'{}[]",:0nult\xff\x00 ')
        return sends(bytes(mutated))(None)

    async def many(client):
        return [(await client.chat([user("hi")])).outcome for _ in range(60)]

    fake.reset(noise)
    outcomes = call(fake, clock, many, attempts=1)
    assert set(outcomes) <= set(Outcome)
    assert len(set(outcomes)) > 1
