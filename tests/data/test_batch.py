"""The record of a batch."""

import torch

from mova.data.batch import LatentBatch


def test_a_batch_is_as_long_as_its_keys():
    empty = torch.zeros(2, 0)
    assert len(LatentBatch(("a", "b"), 0, *[empty] * 7)) == 2
