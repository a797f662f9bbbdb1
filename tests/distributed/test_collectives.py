"""Parts of a row of tokens; the exchanges themselves run in test_context_parallel, in real processes."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from mova.distributed.collectives import part_lengths, take_part


@given(st.integers(0, 500), st.integers(1, 16))
def test_parts_are_neighbours_of_nearly_one_length_and_make_the_whole(total, parts):
    lengths = part_lengths(total, parts)
    assert sum(lengths) == total
    assert max(lengths) - min(lengths) <= 1
    assert lengths == sorted(lengths, reverse=True)
    whole = torch.arange(total).view(1, total, 1)
    assert torch.equal(torch.cat([take_part(whole, lengths, rank) for rank in range(parts)], dim=1), whole)
