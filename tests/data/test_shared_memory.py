import numpy as np

from mova.data.shared_memory import SharedBlocks
from mova.data.workers import Workers

seen = []


def adopt(blocks):
    seen.append(blocks)


def write(number, value):
    seen[0].block(number)[:] = value


def test_what_a_process_writes_the_others_see():
    blocks = SharedBlocks(3, 100)
    first = blocks.block(1)
    with Workers(1, adopt, (blocks,)) as pool:
        pool.submit(write, 1, 7).result()
    blocks.close()
    np.testing.assert_array_equal(first, np.full(100, 7, np.uint8))
    assert not blocks.block(0).any()
    assert not blocks.block(2).any()
