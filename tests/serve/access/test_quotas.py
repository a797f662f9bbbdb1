"""What each key may use."""

import pytest

from mova.serve.access.gate import NOBODY, Caller
from mova.serve.access.quotas import DAY_S, Quotas
from mova.serve.jobs.spending import Spending
from mova.serve.settings import QuotaSection
from mova.web.refusals import RefusedError
from serve_kit import Clock, opened, order


class Sizes:
    def __init__(self):
        self.asked = []

    def size(self, name):
        self.asked.append(name)
        if "gone" in name:
            raise FileNotFoundError(name)
        return 100


@pytest.fixture
def sizes():
    return Sizes()


@pytest.fixture
def quotas(tmp_path, sizes):
    with opened(f"sqlite:///{tmp_path}/jobs.sqlite3") as store:
        made = Quotas(store, Spending(store.database, Clock(), DAY_S), sizes)
        made.store = store
        yield made


def caller(**limits):
    return Caller(
        "key_1", "a", is_admin=False, quota=QuotaSection(**{"posts_per_minute": None, "queued": None, **limits})
    )


def test_whoever_needs_no_key_has_no_limits(quotas):
    for _ in range(100):
        quotas.check_pace(NOBODY)
    quotas.check_room(NOBODY, 1000)
    assert quotas.spend(NOBODY, 1e9) == ""
    quotas.refund("")


def test_requests_in_a_minute_are_counted_for_each_key(quotas):
    for _ in range(2):
        quotas.check_pace(caller(posts_per_minute=2))
    with pytest.raises(RefusedError) as refused:
        quotas.check_pace(caller(posts_per_minute=2))
    assert (refused.value.status, refused.value.retry_s > 0) == (429, True)
    quotas.check_pace(Caller("key_2", "b", is_admin=False, quota=QuotaSection(posts_per_minute=2)))
    quotas.check_pace(caller())


def test_open_jobs_are_counted_for_each_key(quotas):
    quotas.store.add([order(), order()], "key_1")
    quotas.store.add([order(), order()], "key_2")
    quotas.check_room(caller(queued=3), 1)
    with pytest.raises(RefusedError, match="at most 3 open clips, got 2 and 2 more"):
        quotas.check_room(caller(queued=3), 2)


def test_bytes_of_inputs_and_results_are_counted_once(quotas, sizes):
    quotas.store.add([order(inputs={"image": "uploads/a.png"}), order(inputs={"image": "uploads/a.png"})], "key_1")
    quotas.store.add([order(inputs={"image": "uploads/gone.png"})], "key_1")
    quotas.check_room(caller(kept_bytes=101), 1)
    with pytest.raises(RefusedError, match="at most 100 bytes, got 100"):
        quotas.check_room(caller(kept_bytes=100), 1)
    assert sizes.asked.count("uploads/a.png") == 1


def test_seconds_of_a_day_are_had_and_given_back(quotas):
    name = quotas.spend(caller(seconds_per_day=5.0), 4.0)
    with pytest.raises(RefusedError, match="got 4 with 1 left"):
        quotas.spend(caller(seconds_per_day=5.0), 4.0)
    quotas.refund(name)
    quotas.spend(caller(seconds_per_day=5.0), 5.0)
