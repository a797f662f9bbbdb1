"""Which clips a step learns from."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mova.data.batch import ClipFacts
from mova.errors import DataError
from mova.train.loop.sampler import StepSampler

BUCKETS = st.lists(st.integers(0, 3), min_size=1, max_size=40)


def facts_of(buckets):
    return [ClipFacts(f"clip {index}", bucket) for index, bucket in enumerate(buckets)]


@given(BUCKETS, st.integers(1, 9), st.integers(0, 5), st.integers(0, 200))
def test_a_step_has_clips_of_one_bucket_and_follows_from_its_number(buckets, batch_size, seed, step):
    sampler = StepSampler(facts_of(buckets), batch_size, seed)
    indices = sampler.indices(step)
    assert len(indices) == batch_size
    assert len({buckets[index] for index in indices}) == 1
    # A sampler that has dealt other steps before deals the same.
    other = StepSampler(facts_of(buckets), batch_size, seed)
    for earlier in (step + 7, 0, step // 2):
        other.indices(earlier)
    assert other.indices(step) == indices


@given(BUCKETS, st.integers(1, 9), st.integers(0, 5))
def test_every_clip_comes_up_equally_often(buckets, batch_size, seed):
    """Over any number of epochs, the clips of a bucket differ by one at most."""
    sampler = StepSampler(facts_of(buckets), batch_size, seed)
    seen = Counter(index for step in range(3 * sampler.steps_per_epoch) for index in sampler.indices(step))
    for bucket in set(buckets):
        counts = [seen[index] for index, own in enumerate(buckets) if own == bucket]
        assert max(counts) - min(counts) <= 1
        assert min(counts) >= 3


def test_epochs_are_shuffled_anew_and_by_the_seed():
    facts = facts_of([0] * 50)
    sampler = StepSampler(facts, 10, 0)
    first, second = ([i for step in steps for i in sampler.indices(step)] for steps in (range(5), range(5, 10)))
    assert sorted(first) == sorted(second) == list(range(50))
    assert first != second
    assert first != [i for step in range(5) for i in StepSampler(facts, 10, 1).indices(step)]


def test_a_late_step_of_many_clips_is_dealt_without_dealing_those_before_it():
    sampler = StepSampler(facts_of([index % 3 for index in range(200_000)]), 64, 0)
    dealt = []
    sampler._round = lambda *place, former=sampler._round: (dealt.append(place), former(*place))[1]
    for step in (10**6, 10**6 + 1, 10**9):
        assert len(sampler.indices(step)) == 64
    assert len(dealt) <= 6


def test_the_position_of_a_run_is_refused_on_other_clips():
    sampler = StepSampler(facts_of([0] * 7), 2, 0)
    state = sampler.state_dict(9)
    assert (state["epoch"], state["steps_into_epoch"]) == (2, 1)
    StepSampler(facts_of([0] * 7), 2, 5).check(state)
    with pytest.raises(DataError, match="the clips must be those that the run learned from"):
        StepSampler(facts_of([0] * 8), 2, 0).check(state)
    with pytest.raises(DataError, match="batch_size must be the one that the run learned with, 2, got 3"):
        StepSampler(facts_of([0] * 7), 3, 0).check(state)


def test_nothing_to_learn_from_is_an_error():
    with pytest.raises(DataError, match="at least one clip"):
        StepSampler([], 2, 0)
