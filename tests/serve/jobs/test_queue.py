"""The queue as its owners use it."""

import pytest

from mova.errors import ConfigError
from mova.serve.jobs.records import ConflictError, JobState
from serve_kit import opened, order


@pytest.fixture
def store(empty_url):
    with opened(empty_url) as made:
        yield made


def added(store, number):
    return [job.id for job in store.add([order(f"prompt {place}") for place in range(number)])]


def names(store):
    return [job.id for job in store.queue()]


def test_jobs_change_places(store):
    a, b, c = added(store, 3)
    store.move(c, a)
    assert names(store) == [c, a, b]
    store.move(c, None)
    assert names(store) == [a, b, c]
    store.move(a, c)
    assert names(store) == [b, a, c]
    store.move(b, b)
    assert names(store) == [b, a, c]


def test_there_is_always_room_between_two(store):
    a, b, c = added(store, 3)
    for _ in range(60):
        store.move(c, b)
        b, c = c, b
    assert names(store) == [a, *names(store)[1:]]
    assert set(names(store)[1:]) == {b, c}


def test_what_runs_has_no_place_to_change(store):
    a, b = added(store, 2)
    store.claim("w", "tiny", 60.0)
    for one, other in ((a, b), (b, a)):
        with pytest.raises(ConflictError, match="got one that is running"):
            store.move(one, other)
    with pytest.raises(ConfigError, match="must be there"):
        store.move(b, "video_0")


def test_a_job_that_is_held_keeps_its_place_and_is_not_begun(store):
    a, b = added(store, 2)
    store.hold(a)
    with pytest.raises(ConflictError, match="held"):
        store.hold(a)
    assert [job.id for job in store.claim("w", "tiny", 60.0)] == [b]
    assert store.claim("w", "tiny", 60.0) == []
    store.unhold(a)
    assert [job.id for job in store.claim("w", "tiny", 60.0)] == [a]
    with pytest.raises(ConflictError, match="running"):
        store.unhold(a)
    assert store.add([order()], is_held=True)[0].state == JobState.HELD


def test_a_job_is_edited_before_it_begins_and_not_later(store):
    (a,) = added(store, 1)
    store.edit(a, order("another", seed=7, inputs={"image": "b"}))
    assert store.get(a).order.prompt == "another"
    assert [job.id for job in store.page(search="another").jobs] == [a]
    assert store.known_files()[1] == {"b"}
    store.claim("w", "tiny", 60.0)
    with pytest.raises(ConflictError, match="running"):
        store.edit(a, order())


def test_a_job_is_asked_for_again(store):
    (a,) = added(store, 1)
    store.cancel(a)
    again = store.duplicate(a, "me")
    assert (again.state, again.owner, again.order) == (JobState.QUEUED, "me", store.get(a).order)
    assert again.id != a
    with pytest.raises(ConfigError, match="must be there"):
        store.duplicate("video_0", "me")


def test_the_queue_is_paused_and_goes_on(store):
    (a,) = added(store, 1)
    assert not store.is_paused
    store.pause()
    assert store.is_paused
    assert store.claim("w", "tiny", 60.0) == []
    store.resume()
    assert [job.id for job in store.claim("w", "tiny", 60.0)] == [a]


def test_a_job_that_waits_is_cancelled_at_once(store):
    a, b = added(store, 2)
    store.hold(b)
    assert (store.cancel(a), store.cancel(b)) == (JobState.QUEUED, JobState.HELD)
    assert store.cancel(a) == JobState.CANCELLED
    assert store.cancel("video_0") is None
    assert store.get(a).error.code == "cancelled"
    assert names(store) == []
