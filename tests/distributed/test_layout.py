"""Which processes do what, in numbers."""

import pytest

from mova.distributed.layout import Divisible, Layout, check_layout, check_ulysses, choose_layout, parse_layout
from mova.errors import ConfigError

PUBLISHED = {"video_dit": 40, "audio_dit": 12}
TINY = {"video_dit": 4, "audio_dit": 3}


def work(heads, num_branches=2, audio=403, **changes):
    return Divisible(heads=heads, tokens={"video": 43_120, "audio": audio}, num_branches=num_branches, **changes)


@pytest.mark.parametrize(
    ("heads", "num_branches", "num_processes", "expected"),
    [
        (PUBLISHED, 2, 1, Layout()),
        (PUBLISHED, 1, 4, Layout(ulysses=4)),
        (PUBLISHED, 2, 2, Layout(branches=2)),
        (PUBLISHED, 2, 3, Layout(ring=3)),
        (PUBLISHED, 2, 8, Layout(branches=2, ulysses=4)),
        (PUBLISHED, 2, 16, Layout(branches=2, ring=2, ulysses=4)),
        (PUBLISHED, 3, 2, Layout(ulysses=2)),
        (PUBLISHED, 3, 6, Layout(branches=3, ulysses=2)),
        (PUBLISHED, 1, 6, Layout(ring=3, ulysses=2)),
        (TINY, 2, 4, Layout(branches=2, ring=2)),
        (TINY, 1, 2, Layout(ring=2)),
    ],
)
def test_branches_come_first_then_heads_then_the_ring(heads, num_branches, num_processes, expected):
    chosen = choose_layout(num_processes, work(heads, num_branches))
    assert chosen == expected
    check_layout(chosen, num_processes, work(heads, num_branches))


def test_one_group_is_chosen_to_share_weights():
    assert choose_layout(8, work(PUBLISHED), one_group=True) == Layout(ring=2, ulysses=4)


def test_more_processes_than_tokens_are_refused_with_the_nearest_number():
    with pytest.raises(ConfigError, match=r"got 40: .*\(video 43120, audio 11\).* 2 branches .*; nearest is 22"):
        choose_layout(40, work(TINY, audio=11))


def test_a_bridge_that_pools_frames_leaves_only_the_branches():
    pooling = work(TINY, shares_tokens=False)
    assert choose_layout(2, pooling) == Layout(branches=2)
    with pytest.raises(ConfigError, match=r"got 4: the bridge pools whole frames .*; nearest is 2"):
        choose_layout(4, pooling)


@pytest.mark.parametrize(
    ("layout", "num_processes", "text"),
    [
        (Layout(ulysses=4), 4, r"ulysses must divide .* \(video_dit 4, audio_dit 3\), got 4; nearest is 1"),
        (Layout(ring=2), 4, r"as many processes as there are, 4; got branches=1,ring=2,ulysses=1 for 2; "),
        (Layout(ring=2), 4, r"; branches=2,ring=2,ulysses=1 would fit"),
        (Layout(branches=4), 4, r"at most those of the guidance, 2; got 4; nearest is 2"),
        (Layout(ring=500), 500, r"ring x ulysses of a layout must be at most 403, .*; got 500; nearest is 403"),
    ],
)
def test_a_layout_that_does_not_fit_is_explained(layout, num_processes, text):
    with pytest.raises(ConfigError, match=text):
        check_layout(layout, num_processes, work(TINY))


def test_the_nearest_degree_is_one_that_all_heads_allow():
    with pytest.raises(ConfigError, match="got 3; nearest is 2"):
        check_ulysses(3, PUBLISHED)
    with pytest.raises(ConfigError, match="got 8; nearest is 4"):
        check_ulysses(8, PUBLISHED)


def test_layouts_are_read_as_they_are_written():
    assert parse_layout("ulysses=2, branches=3") == Layout(branches=3, ulysses=2)
    layout = Layout(branches=2, ring=3, ulysses=4)
    assert parse_layout(str(layout)) == layout
    assert layout.num_processes == 24


@pytest.mark.parametrize("text", ["", "2x2", "branches=2,branches=2", "shard=2", "ring=-1", "ring=two"])
def test_other_words_are_no_layout(text):
    with pytest.raises(ConfigError, match="layout must name branches, ring, ulysses at most once each"):
        parse_layout(text)


def test_a_degree_below_one_is_refused():
    with pytest.raises(ConfigError, match="ring of a layout must be 1 or more, got 0; nearest is 1"):
        parse_layout("ring=0")
