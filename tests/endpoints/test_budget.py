"""Budgets of one process and of many."""

import threading

import pytest

from mova.endpoints.budget import FileBudget, MemoryBudget, Spent
from mova.errors import StageError


@pytest.fixture(params=["memory", "file"])
def make(request, tmp_path):
    return MemoryBudget if request.param == "memory" else lambda *limits: FileBudget(tmp_path / "budget", *limits)


def test_calls_are_taken_until_none_is_left(make):
    budget = make(2)
    assert [budget.take(10) for _ in range(3)] == [True, True, False]
    assert budget.spent() == Spent(2, 20)


def test_tokens_are_held_back_and_settled(make):
    budget = make(None, 100)
    assert budget.take(60)
    assert not budget.take(60)
    budget.settle(60, 5)
    assert budget.take(60)
    assert budget.spent() == Spent(2, 65)


def test_without_limits_everything_is_counted(make):
    budget = make()
    assert all(budget.take(10**6) for _ in range(5))
    assert budget.spent() == Spent(5, 5 * 10**6)


def test_a_run_that_is_resumed_goes_on_counting(tmp_path):
    assert FileBudget(tmp_path, 3).take(1)
    assert FileBudget(tmp_path, 3).take(1)
    assert FileBudget(tmp_path, 3).spent() == Spent(2, 2)
    assert not FileBudget(tmp_path, 2).take(1)


def test_many_who_share_a_folder_do_not_take_too_much(tmp_path):
    budgets, taken = [FileBudget(tmp_path, 50) for _ in range(4)], []
    threads = [
        threading.Thread(target=lambda mine=mine: taken.extend(mine.take(1) for _ in range(20))) for mine in budgets
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(taken) == 50


def test_a_damaged_file_ends_the_run(tmp_path):
    (tmp_path / "spent.json").write_text("{")
    with pytest.raises(StageError, match=r"spent\.json"):
        FileBudget(tmp_path).take(1)
