"""Jobs are added once, found, listed and counted."""

import threading
from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from job_machine import MAX_CRASHES, JobMachine
from mova.errors import ConfigError
from mova.serve.jobs.records import ConflictError, FullError, JobState, Limits
from serve_kit import Clock, NoFiles, opened, order


@pytest.fixture
def store(empty_url):
    with opened(empty_url, limits=Limits(of_all=100, of_owner=4)) as made:
        yield made


def test_a_job_that_was_added_is_there_as_it_was_asked_for(store):
    given = order(
        "“Привет” 你好 \0 \ud800 'quoted'",
        negative_prompt="",
        settings={"num_frames": 17, "guidance_interval": [0.1, 0.9]},
        inputs={"image": "uploads/a.png"},
        enhancement={"original": "Ball", "provider": "offline"},
    )
    (job,) = store.add([given], "key 1", remixed_from="video_0")
    assert job.id.startswith("video_")
    assert len(job.id) == 38
    assert job.order == given == store.get(job.id).order
    assert (job.state, job.owner, job.attempt, job.remixed_from) == (JobState.QUEUED, "key 1", 0, "video_0")
    assert (job.created_s, job.started_s, job.error) == (1e9, None, None)
    assert store.get("video_0") is None
    assert store.get(job.id, "key 1") == job
    assert store.get(job.id, "key 2") is None


def test_variants_are_a_group(store):
    jobs = store.add([order(seed=seed) for seed in (1, 2, 3)])
    assert [job.variant for job in jobs] == [0, 1, 2]
    assert store.group(jobs[0].group) == jobs
    assert store.group(jobs[0].group, "other") == []
    for number in (0, 17):
        with pytest.raises(ConfigError, match="n must be 1 to 16"):
            store.add([order()] * number)


def test_a_request_that_comes_again_is_the_one_of_before(store):
    jobs = store.add([order(), order(seed=2)], "a", key="once", body_sha256="x")
    assert store.add([order(), order(seed=2)], "a", key="once", body_sha256="x") == jobs
    assert store.with_key("a", "once", "x") == jobs
    assert store.with_key("b", "once", "x") is None
    assert store.add([order()], "b", key="once", body_sha256="y")[0].id not in {job.id for job in jobs}
    with pytest.raises(ConflictError, match="one request") as caught:
        store.add([order()], "a", key="once", body_sha256="y")
    assert caught.value.code == "key_reused"
    for job in jobs:
        store.doom(job.id)
    with pytest.raises(ConflictError) as caught:
        store.add([order(), order(seed=2)], "a", key="once", body_sha256="x")
    assert caught.value.code == "key_gone"


def test_the_same_request_at_one_moment_is_added_once(store):
    made = []
    threads = [
        threading.Thread(target=lambda: made.extend(store.add([order()], key="once", body_sha256="x")))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 8
    assert len({job.id for job in made}) == 1
    assert store.counts()[JobState.QUEUED] == 1


def test_pages_go_by_the_order_in_which_jobs_came(store):
    names = [store.add([order(f"number {number}")], f"owner {number % 2}")[0].id for number in range(7)]
    page = store.page(limit=3)
    assert ([job.id for job in page.jobs], page.has_more) == (names[:3:-1], True)
    page = store.page(limit=3, after=page.jobs[-1].id)
    assert [job.id for job in page.jobs] == names[3:0:-1]
    page = store.page(limit=3, after=page.jobs[-1].id)
    assert ([job.id for job in page.jobs], page.has_more) == (names[:1], False)
    assert [job.id for job in store.page(is_ascending=True, owner="owner 1").jobs] == names[1::2]
    for after, owner in (("video_0", None), (names[0], "owner 1")):
        with pytest.raises(ConfigError, match="after must be the id of a job"):
            store.page(after=after, owner=owner)
    for limit in (0, 101):
        with pytest.raises(ConfigError, match="limit must be 1 to 100"):
            store.page(limit=limit)


def test_words_are_searched_for_in_any_case_and_language(store):
    names = {
        text: store.add([order(text, enhancement={"original": "Kurz"})], text)[0].id
        for text in ("Ein GROSSER Ball", "红色的球 bounces", "100 % sure_thing!", "grosses Haus")
    }

    def found(search):
        return {text for text, name in names.items() if name in {job.id for job in store.page(search=search).jobs}}

    assert found("großer ball") == {"Ein GROSSER Ball"}
    assert found("球") == {"红色的球 bounces"}
    assert found("%") == found("e_t") == found("thing!") == {"100 % sure_thing!"}
    assert found("gross") == {"Ein GROSSER Ball", "grosses Haus"}
    assert found("KURZ") == set(names)
    assert found(names["grosses Haus"]) == {"grosses Haus"}
    assert found("' OR 1=1 --") == set()


def test_states_are_counted_and_filtered(store):
    first, _second = store.add([order(), order()], "a")
    store.add([order()], "b")
    store.cancel(first.id)
    assert store.counts()[JobState.QUEUED] == 2
    assert store.counts("a") == {**dict.fromkeys(JobState, 0), JobState.QUEUED: 1, JobState.CANCELLED: 1}
    assert [job.id for job in store.page(states=[JobState.CANCELLED]).jobs] == [first.id]


def test_open_jobs_are_limited_for_each_owner_and_for_all(store):
    jobs = store.add([order()] * 4, "a")
    with pytest.raises(FullError, match="at most 4 clips of this key") as caught:
        store.add([order()], "a")
    assert caught.value.is_own
    store.cancel(jobs[0].id)
    store.add([order()], "a")
    for number in range(24):
        store.add([order()] * 4, f"b {number}")
    with pytest.raises(FullError, match="at most 100 clips of all") as caught:
        store.add([order()], "c")
    assert not caught.value.is_own


def test_how_many_come_first(store):
    first, second, third = store.add([order()] * 3)
    store.hold(first.id)
    assert store.num_ahead(third) == 1
    assert store.num_ahead(second) == 0
    assert [job.id for job in store.queue()] == [first.id, second.id, third.id]


def test_two_servers_see_one_queue(empty_url):
    with opened(empty_url) as one, opened(empty_url) as other:
        (job,) = one.add([order()])
        assert other.get(job.id) == job
        assert [len(store.claim("w", "tiny", 60)) for store in (one, other, one)] == [1, 0, 0]


def test_a_thousand_jobs_are_claimed_by_many_once_each(empty_url):
    """A tenth of it: threads of two servers take jobs from one queue."""
    with opened(empty_url) as one, opened(empty_url) as other:
        names = {job.id for _ in range(10) for job in one.add([order()] * 10)}
        taken = []

        def work(store, worker):
            while jobs := store.claim(worker, "tiny", 60, most=3):
                taken.extend(job.id for job in jobs)

        threads = [
            threading.Thread(target=work, args=(store, f"w{number}"))
            for number, store in enumerate((one, other, one, other))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(taken) == 100
    assert set(taken) == names


def test_what_is_no_order_is_refused():
    with pytest.raises(ConfigError, match="inputs of an order must be among"):
        order(inputs={"path": "/etc/passwd"})
    with pytest.raises(ConfigError, match="num_frames"):
        replace(order(), settings={"num_frames": "17"})


def test_removal_of_doomed_jobs_keeps_inputs_that_others_use(empty_url):
    clock, files = Clock(), NoFiles()
    with opened(empty_url, clock, keep_s=100.0) as store:
        one = store.add([order(inputs={"image": "uploads/a", "audio": "uploads/b"})])[0]
        two = store.duplicate(one.id, "")
        store.edit(two.id, order(inputs={"image": "uploads/a"}))
        assert store.doom(one.id)
        assert not store.doom(one.id)
        assert store.get(one.id) is None
        assert store.remove_doomed(files) == 1
        assert (files.jobs, files.removed) == ([one.id], ["uploads/b"])
        assert store.known_files() == ({two.id}, {"uploads/a"})


def test_whatever_is_done_in_whatever_order_no_job_is_lost_or_run_twice(empty_url):
    clock = Clock()
    options = {"clock": clock, "max_crashes": MAX_CRASHES}
    with opened(empty_url, **options) as one, opened(empty_url, **options) as other:
        JobMachine.stores, JobMachine.clock = (one, other), clock
        run_state_machine_as_test(JobMachine, settings=settings(max_examples=20, stateful_step_count=30, deadline=None))


@pytest.mark.slow
def test_whatever_is_done_for_long(empty_url):
    clock = Clock()
    options = {"clock": clock, "max_crashes": MAX_CRASHES}
    with opened(empty_url, **options) as one, opened(empty_url, **options) as other:
        JobMachine.stores, JobMachine.clock = (one, other), clock
        run_state_machine_as_test(JobMachine, settings=settings(max_examples=60, stateful_step_count=50, deadline=None))
