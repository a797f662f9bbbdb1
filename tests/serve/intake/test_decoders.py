"""Children that decode, started ahead."""

import asyncio

import pytest

import guarded_jobs as jobs
from mova.errors import ReadError
from mova.serve.faults import FieldError
from mova.serve.intake.decoders import Decoders
from mova.web.refusals import RefusedError


@pytest.fixture(scope="module")
def decoders():
    made = Decoders(1, 4.0)
    made.start()
    yield made
    made.close()


def test_a_child_answers_and_its_errors_are_raised_here(decoders):
    assert asyncio.run(decoders.call(jobs.double, 21)) == 42
    with pytest.raises(ReadError, match="got half of one"):
        asyncio.run(decoders.call(jobs.refuse))


def test_a_child_that_is_lost_is_a_refusal_and_another_one_goes_on(decoders):
    with pytest.raises(FieldError) as refused:
        asyncio.run(decoders.call(jobs.crash))
    assert (refused.value.status, refused.value.code) == (400, "decoder_crashed")
    assert asyncio.run(decoders.call(jobs.double, 1)) == 2


def test_whoever_finds_no_child_free_is_sent_away_for_a_moment(decoders):
    async def both():
        return await asyncio.gather(decoders.call(jobs.hang), decoders.call(jobs.double, 1), return_exceptions=True)

    hung, waiting = asyncio.run(both())
    assert isinstance(hung, FieldError)
    assert isinstance(waiting, RefusedError)
    assert waiting.status == 503
