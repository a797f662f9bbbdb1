"""A store of jobs against a plain model of it: whatever is done in whatever order, both say the same.

What the model holds: no job is lost, none is run by two at a time, none leaves a final state.
"""

from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mova.errors import ConfigError
from mova.serve.jobs.records import NO_PROGRESS, ConflictError, JobError, JobState, Stop
from serve_kit import NoFiles, order

LEASE_S, MAX_CRASHES = 60.0, 2
WORKERS = st.sampled_from(["w1", "w2"])
PLACES = st.integers(0, 3)
FINAL = (JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED)
WAITING = (JobState.QUEUED, JobState.HELD)


@dataclass
class Known:
    """What the model knows of a job."""

    id: str
    prompt: str
    state: JobState = JobState.QUEUED
    worker: str = ""
    until: float = 0.0
    crashes: int = 0
    attempt: int = 0
    is_cancel_asked: bool = False
    is_gone: bool = False


class JobMachine(RuleBasedStateMachine):
    """Rules for two servers on one database; `stores` and `clock` are set by the test."""

    stores, clock = (), None

    @initialize()
    def begin(self):
        self.turn, self.known, self.order = 0, {}, []
        self.is_paused = False
        with self.stores[0].database.writing() as run:
            for table in ("inputs", "request_keys", "jobs"):
                run.run(f"DELETE FROM {table}")
        self.stores[0].resume()

    @property
    def store(self):
        self.turn += 1
        return self.stores[self.turn % len(self.stores)]

    def pick(self, place):
        """Return one of the jobs; those that run, about which most is to be said, come first."""
        seen = [self.known[one] for one in self.order if not self.known[one].is_gone]
        seen.sort(key=lambda job: job.state != JobState.RUNNING)
        return seen[place % len(seen)] if seen else None

    def end(self, job, state):
        assert job.state not in FINAL
        job.state, job.worker, job.until = state, "", 0.0

    def lost(self, job):
        if job.is_cancel_asked:
            self.end(job, JobState.CANCELLED)
            return
        job.crashes += 1
        if job.crashes >= MAX_CRASHES:
            self.end(job, JobState.FAILED)
        else:
            job.state, job.worker, job.until = JobState.QUEUED, "", 0.0

    @rule(number=st.integers(1, 3), is_held=st.booleans())
    def add(self, number, is_held):
        for job in self.store.add([order(f"prompt {len(self.known)}")] * number, is_held=is_held):
            state = JobState.HELD if is_held else JobState.QUEUED
            assert job.id not in self.known
            self.known[job.id] = Known(job.id, job.order.prompt, state)
            self.order.append(job.id)

    @rule(worker=WORKERS, most=st.integers(1, 3))
    def claim(self, worker, most):
        jobs = self.store.claim(worker, "tiny", LEASE_S, most)
        waiting = [self.known[one] for one in self.order if self.known[one].state == JobState.QUEUED]
        waiting = [] if self.is_paused else [one for one in waiting if not one.is_gone]
        expected = waiting[:1]
        if waiting and not waiting[0].crashes:
            expected = [one for one in waiting if not one.crashes][:most]
        assert [job.id for job in jobs] == [one.id for one in expected]
        for one in expected:
            assert one.worker == ""
            one.state, one.worker, one.until = JobState.RUNNING, worker, self.clock.now + LEASE_S
            one.attempt += 1

    @rule(stranger=st.none() | WORKERS, place=PLACES)
    def renew(self, stranger, place):
        if (job := self.pick(place)) is None:
            return
        worker = stranger or job.worker or "w1"
        stops = self.store.renew(worker, LEASE_S, {job.id: NO_PROGRESS})
        if job.state != JobState.RUNNING or job.worker != worker:
            assert stops == {job.id: Stop.LOST}
            return
        job.until = self.clock.now + LEASE_S
        assert stops == ({job.id: Stop.CANCELLED} if job.is_cancel_asked else {})

    @rule(stranger=st.none() | WORKERS, place=PLACES, how=st.sampled_from(["finish", "fail", "release"]))
    def give_up(self, stranger, place, how):
        if (job := self.pick(place)) is None:
            return
        worker = stranger or job.worker or "w1"
        arguments = {"finish": ({"video": job.id}, {}), "fail": (JobError("code", "text"),), "release": ()}[how]
        done = getattr(self.store, how)(job.id, worker, *arguments)
        is_mine = job.state == JobState.RUNNING and job.worker == worker
        assert done == (is_mine and not (how == "finish" and job.is_cancel_asked))
        if not done:
            return
        if job.is_cancel_asked:
            self.end(job, JobState.CANCELLED)
        elif how == "release":
            job.state, job.worker, job.until = JobState.QUEUED, "", 0.0
        else:
            self.end(job, JobState.COMPLETED if how == "finish" else JobState.FAILED)

    @rule(worker=WORKERS)
    def lose(self, worker):
        mine = [one for one in self.known.values() if one.state == JobState.RUNNING and one.worker == worker]
        assert set(self.store.lose(worker)) == {one.id for one in mine}
        for one in mine:
            self.lost(one)

    @rule(seconds=st.sampled_from([10.0, 40.0, 100.0]))
    def wait(self, seconds):
        self.clock.now += seconds
        late = [one for one in self.known.values() if one.state == JobState.RUNNING and one.until < self.clock.now]
        assert set(self.store.expire()) == {one.id for one in late}
        for one in late:
            self.lost(one)

    @rule(place=PLACES)
    def cancel(self, place):
        if (job := self.pick(place)) is None:
            return
        before = job.state
        assert self.store.cancel(job.id) == before
        if before in WAITING:
            self.end(job, JobState.CANCELLED)
        elif before == JobState.RUNNING:
            job.is_cancel_asked = True

    @precondition(lambda self: any(job.state == JobState.RUNNING for job in self.known.values()))
    @rule(place=PLACES, is_cancel_first=st.booleans())
    def race(self, place, is_cancel_first):
        if is_cancel_first:
            self.cancel(place)
        self.give_up(None, place, "finish")
        if not is_cancel_first:
            self.cancel(place)

    @rule(place=PLACES, how=st.sampled_from(["hold", "unhold", "edit"]))
    def change(self, place, how):
        if (job := self.pick(place)) is None:
            return
        allowed = {"hold": (JobState.QUEUED,), "unhold": (JobState.HELD,), "edit": WAITING}[how]
        arguments = (order(f"{job.prompt}!"),) if how == "edit" else ()
        try:
            getattr(self.store, how)(job.id, *arguments)
        except ConflictError:
            assert job.state not in allowed
            return
        assert job.state in allowed
        if how == "edit":
            job.prompt += "!"
        else:
            job.state = JobState.HELD if how == "hold" else JobState.QUEUED

    @rule(place=PLACES, before=PLACES, is_last=st.booleans())
    def move(self, place, before, is_last):
        job, other = self.pick(place), self.pick(before)
        if job is None or job is other:
            return
        try:
            self.store.move(job.id, None if is_last else other.id)
        except ConflictError:
            assert job.state not in WAITING or (not is_last and other.state not in WAITING)
            return
        self.order.remove(job.id)
        self.order.insert(len(self.order) if is_last else self.order.index(other.id), job.id)

    @rule(place=PLACES)
    def duplicate(self, place):
        if (job := self.pick(place)) is None:
            return
        again = self.store.duplicate(job.id, "")
        self.known[again.id] = Known(again.id, job.prompt)
        self.order.append(again.id)

    @rule(is_paused=st.booleans())
    def pause(self, is_paused):
        self.is_paused = is_paused
        if is_paused:
            self.store.pause()
        else:
            self.store.resume()

    @rule(place=PLACES)
    def doom(self, place):
        if (job := self.pick(place)) is None:
            return
        assert self.store.doom(job.id)
        job.is_gone = job.is_cancel_asked = True

    @precondition(lambda self: any(job.is_gone for job in self.known.values()))
    @rule()
    def remove(self):
        files = NoFiles()
        doomed = [one.id for one in self.known.values() if one.is_gone and one.state != JobState.RUNNING]
        assert self.store.remove_doomed(files) == len(doomed)
        assert sorted(files.jobs) == sorted(doomed)
        for one in doomed:
            del self.known[one]
            self.order.remove(one)

    @rule()
    def ask_for_none(self):
        assert self.store.get("video_0") is None
        for deed in (self.store.hold, lambda name: self.store.duplicate(name, "")):
            try:
                deed("video_0")
            except ConfigError:
                continue
            raise AssertionError("there is no such job")

    @invariant()
    def both_say_the_same(self):
        store = self.store
        seen = {name: one for name, one in self.known.items() if not one.is_gone}
        jobs = {job.id: job for job in store.page(limit=100).jobs}
        assert set(jobs) == set(list(seen)[-100:])
        for name, job in jobs.items():
            one = seen[name]
            assert (job.state, job.lease_owner, job.lease_until_s) == (one.state, one.worker, one.until), name
            assert (job.crashes, job.attempt, job.order.prompt) == (one.crashes, one.attempt, one.prompt)
            assert (job.completed_s is not None) == job.state.is_final == (job.state in FINAL)
            assert bool(job.artifacts) == (job.state == JobState.COMPLETED)
        assert [job.id for job in store.queue()] == [
            one for one in self.order if one in seen and seen[one].state in WAITING
        ]
        assert store.known_files()[0] == set(self.known)
