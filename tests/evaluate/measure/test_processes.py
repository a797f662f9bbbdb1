"""Processes that score: one that is lost or hangs costs its clip, and no other."""

import os
import signal
import time

import psutil
import pytest
import torch

from evaluated_clips import write_clips
from mova.data.workers import SoleWorker
from mova.evaluate.measure.processes import Job, ScoringProcesses, score_job, share_cores
from mova.scorers.registry import ScorerSettings


def jobs_of(items, *scorers):
    return [Job(index, item.path, "", scorers) for index, item in enumerate(items)]


def workers():
    """Return the processes that score, the youngest last; what Python keeps beside them is none."""
    children = psutil.Process().children()
    return sorted((one for one in children if "spawn_main" in " ".join(one.cmdline())), key=lambda one: one.pid)


def reasons(found):
    return {score.reason for score in found.findings.scores.values()}


def test_several_processes_find_what_one_does(tmp_path):
    jobs = jobs_of(write_clips(tmp_path, 3), "levels")
    alone = list(ScoringProcesses(1, ScorerSettings()).run(jobs))
    with ScoringProcesses(2, ScorerSettings()) as processes:
        together = sorted(processes.run(jobs), key=lambda found: found.job.index)
    assert [found.findings for found in together] == [found.findings for found in alone]


def test_a_process_that_is_killed_costs_one_clip(tmp_path):
    jobs = jobs_of(write_clips(tmp_path, 4), "levels")

    def jobs_with_a_kill():
        yield from jobs[:2]
        # A process is busy with each of the two when the third is asked for.
        victim = workers()[-1]
        os.kill(victim.pid, signal.SIGSTOP)
        os.kill(victim.pid, signal.SIGKILL)
        yield from jobs[2:]

    with ScoringProcesses(2, ScorerSettings()) as processes:
        found = list(processes.run(jobs_with_a_kill()))
    assert sorted(one.job.index for one in found) == [0, 1, 2, 3]
    lost = [one for one in found if "failed: the process that scored it was ended" in "".join(reasons(one))]
    assert len(lost) <= 1


def test_a_process_that_is_killed_while_it_waits_costs_nothing(tmp_path):
    jobs = jobs_of(write_clips(tmp_path, 3), "levels")

    def jobs_with_a_kill():
        yield from jobs[:2]
        # One of them has found something and waits; the other may be busy.
        victims = workers()
        for victim in victims:
            victim.kill()
        psutil.wait_procs(victims, timeout=900)
        # Until the pools have noticed.
        time.sleep(1.0)
        yield from jobs[2:]

    with ScoringProcesses(2, ScorerSettings()) as processes:
        found = {one.job.index: one for one in processes.run(jobs_with_a_kill())}
    assert sorted(found) == [0, 1, 2]
    assert not any(reason.startswith("failed") for reason in reasons(found[2]))


def test_what_was_found_is_handed_over_before_the_next_scorer_begins(tmp_path):
    jobs = jobs_of(write_clips(tmp_path, 1), "levels", "text_area", "motion")
    with ScoringProcesses(2, ScorerSettings()) as processes:
        found = processes.run(jobs)
        first = next(found)
        assert reasons(first) == {"", *reasons(next(score_job(jobs[0], ScorerSettings())))}
        victim = workers()[-1]
        os.kill(victim.pid, signal.SIGKILL)
        rest = list(found)
    assert [one.scorer for one in (first, *rest)] == ["levels", "text_area", "motion"]
    # It was opening the detector of text; its successor goes on with the clip.
    assert "was ended" in "".join(reasons(rest[0]))
    assert reasons(rest[-1]) == {""}


def test_processes_share_the_cores():
    with SoleWorker(share_cores, (64,)) as worker:
        assert worker.submit(torch.get_num_threads).result() == 1


def test_a_clip_that_takes_too_long_is_given_up(tmp_path):
    with ScoringProcesses(2, ScorerSettings(), patience_s=0.0) as processes:
        found = list(processes.run(jobs_of(write_clips(tmp_path, 1), "levels")))
    assert reasons(found[0]) == {"failed: it took longer than 0 s"}


@pytest.mark.parametrize("content", [b"", b"no video", b"\x00" * 5000])
def test_what_is_no_clip_has_a_reason_in_every_measure(tmp_path, content):
    (tmp_path / "a.mp4").write_bytes(content)
    found = list(score_job(Job(0, tmp_path / "a.mp4", "", ("levels", "motion")), ScorerSettings()))
    assert [one.scorer for one in found] == ["levels", "motion"]
    assert all(reason.startswith("failed: unreadable: ") for one in found for reason in reasons(one))
