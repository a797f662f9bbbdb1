"""Calls of endpoints with all that is around them: slots, a budget, replies that are kept, records, and a key."""

import asyncio
import logging

import pytest

from endpoint_calls import ask, call, section
from fake_endpoint import KEY, KEY_ENV, TurnedClock, says, status, streams, tells
from mova.endpoints.budget import MemoryBudget
from mova.endpoints.cache import FileCache
from mova.endpoints.client import Client, Shared
from mova.endpoints.messages import user
from mova.endpoints.outcomes import Outcome
from mova.endpoints.records import FileRecords, read_records


@pytest.fixture
def fake(served):
    served.reset(says("hello"))
    return served


@pytest.fixture
def clock():
    return TurnedClock()


def test_no_more_calls_than_allowed_are_under_way(fake, clock):
    fake.reset(says("x", seconds=0.02))

    async def main():
        shared = Shared(slots=asyncio.Semaphore(3), timing=clock.timing())
        async with Client(section(fake), shared) as one, Client(section(fake), shared) as other:
            calls = [client.chat([user(f"hi {number}")]) for number in range(8) for client in (one, other)]
            return await asyncio.gather(*calls)

    replies = asyncio.run(main())
    assert {reply.outcome for reply in replies} == {Outcome.OK}
    assert 1 < fake.at_once <= 3


def test_a_budget_of_calls_counts_every_request(fake, clock):
    fake.reset(status(500), status(500), says("x"))
    shared = Shared(budget=MemoryBudget(calls=2), timing=clock.timing())
    reply = call(fake, clock, shared=shared)
    assert (reply.outcome, reply.attempts, len(fake.requests)) == (Outcome.BUDGET, 2, 2)


def test_a_budget_of_tokens_is_not_passed(fake, clock):
    budget = MemoryBudget(tokens=400)

    async def main():
        shared = Shared(budget=budget, timing=clock.timing())
        async with Client(section(fake, max_tokens=100), shared) as client:
            return [await client.chat([user("hi")]) for _ in range(5)]

    outcomes = [reply.outcome for reply in asyncio.run(main())]
    assert outcomes == [Outcome.OK] * 3 + [Outcome.BUDGET] * 2
    assert budget.spent().tokens == 360, "what was used, not what was held back"


def test_what_was_answered_is_not_paid_twice(fake, clock, tmp_path):
    shared = Shared(cache=FileCache(tmp_path), timing=clock.timing())
    first, second = (call(fake, clock, shared=shared) for _ in range(2))
    assert (first.text, first.cached, second.text, second.cached) == ("hello", False, "hello", True)
    assert second.usage == first.usage
    assert len(fake.requests) == 1
    call(fake, clock, lambda client: client.chat([user("hi there")]), shared=shared)
    call(fake, clock, shared=shared, max_tokens=5)
    assert len(fake.requests) == 3


def test_what_was_not_answered_is_asked_again(fake, clock, tmp_path):
    fake.reset(status(400, "once"), says("now"))
    shared = Shared(cache=FileCache(tmp_path), timing=clock.timing())
    assert call(fake, clock, shared=shared).outcome is Outcome.TRANSPORT
    assert call(fake, clock, shared=shared).text == "now"


def test_every_call_is_recorded(fake, clock, tmp_path):
    fake.reset(says("no json", tokens=(7, 3)), tells({"title": "t", "events": None}))
    path = tmp_path / "calls" / "unit.jsonl"
    shared = Shared(records=FileRecords(path), timing=clock.timing())
    ask(fake, clock, shared=shared)
    first, second = read_records(path)
    assert (first.label, second.label) == ("it", "it repair")
    assert (first.kind, first.model, first.outcome, first.finish_reason) == ("chat", "asked", "ok", "stop")
    assert (first.tokens_in, first.tokens_out, first.request_id) == (7, 3, "req-7")
    assert len(first.prompt_sha256) == len(first.request_sha256) == 64
    assert first.request_sha256 != second.request_sha256


def test_a_key_is_sent_and_shown_nowhere(fake, clock, tmp_path, monkeypatch, caplog):
    """Not even where the endpoint repeats it, in errors and in replies."""
    monkeypatch.setenv(KEY_ENV, KEY)
    caplog.set_level(logging.DEBUG)
    path = tmp_path / "calls.jsonl"
    shared = Shared(cache=FileCache(tmp_path / "kept"), records=FileRecords(path), timing=clock.timing())
    answers = [status(401, f"wrong key {KEY}"), says(f"your key is {KEY}"), streams("your ", f"{KEY}")]
    shown = []
    for number, answer in enumerate(answers):
        fake.reset(answer)

        async def main(number=number):
            settings = section(fake, api_key_env=KEY_ENV, stream=number == 2)
            async with Client(settings, shared) as client:
                shown.append(repr((settings, client, vars(client), settings.model_dump_json())))
                return await client.chat([user(f"hi {number}")])

        shown.append(repr(asyncio.run(main())))
        assert fake.requests[0][2]["authorization"] == f"Bearer {KEY}"
    assert "your key is ***" in shown[3]
    kept = [file.read_text() for file in tmp_path.rglob("*") if file.is_file()]
    assert len(kept) == 3
    assert all(KEY not in text for text in [*shown, *kept, caplog.text])
