"""Which clips are shown."""

import random

from mova.curate.report.examples import Chosen


def chosen_of(members, per_group=2, most_groups=3):
    chosen = Chosen(per_group, most_groups)
    for group, number in members:
        chosen.offer(group, number, lambda number=number: number)
    return chosen


MEMBERS = [(group, f"{group}{number}") for group in "abcde" for number in range(9)]


def test_the_same_members_are_chosen_in_any_order():
    found = set()
    for seed in range(20):
        members = MEMBERS[:]
        random.Random(seed).shuffle(members)
        found.add(tuple(chosen_of(members).members(10, lambda _: 0)))
    assert found == {("a0", "b0", "c0", "a1", "b1", "c1")}


def test_groups_take_turns_in_the_order_of_their_rank():
    chosen = chosen_of([("a", "1"), ("b", "2"), ("b", "3")])
    assert chosen.members(10, lambda group: {"a": 1, "b": 0}[group]) == ["2", "1", "3"]
    assert chosen.members(2, lambda _: 0) == ["1", "2"]


def test_a_member_is_made_only_where_it_is_kept():
    made = []
    chosen = Chosen(1, 1)
    for number in ("3", "5", "2", "9"):
        chosen.offer("a", number, lambda number=number: made.append(number))
    assert made == ["3", "2"]
