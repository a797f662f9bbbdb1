import numpy as np
import pytest
import torch

from mova.errors import ConfigError
from mova.settings.seeds import MAX_SEED, check_seed, sample_seeds


def test_seeds_name_the_noise():
    assert sample_seeds(7, 3) == ((7, 0), (7, 1), (7, 2))
    assert sample_seeds([7, 8], 2) == ((7, 0), (8, 0))
    assert sample_seeds(None, 1) != sample_seeds(None, 1)


def test_an_index_picks_one_clip_of_a_seed():
    assert sample_seeds(7, 1, 2) == ((7, 2),)
    assert sample_seeds(7, 2, 2) == ((7, 2), (7, 3))
    assert sample_seeds(7, 2, [5, 1]) == ((7, 5), (7, 1))
    assert sample_seeds([7, 8], 2, [5, 1]) == ((7, 5), (8, 1))
    for number, pair in enumerate(sample_seeds(7, 3)):
        assert sample_seeds(pair[0], 1, number) == (pair,)


@pytest.mark.parametrize(
    "seed", [7, np.int64(7), np.uint8(7), np.array(7), torch.tensor(7), torch.tensor(7, dtype=torch.uint8)], ids=repr
)
def test_whole_numbers_of_any_library_are_seeds(seed):
    assert check_seed(seed) == 7
    assert type(check_seed(seed)) is int


@pytest.mark.parametrize("seeds", [np.array([7, 8]), torch.tensor([7, 8]), range(7, 9), (np.int32(7), 8)], ids=repr)
def test_rows_of_any_library_are_seeds_of_clips(seeds):
    assert sample_seeds(seeds, 2) == ((7, 0), (8, 0))


@pytest.mark.parametrize(
    ("seed", "text"),
    [
        (True, r"seed must be a whole number of 0 or more, got True \(bool\)"),
        (np.bool_(True), r"\(bool"),
        (torch.tensor(True), r"\(Tensor\)"),
        (7.0, r"got 7\.0 \(float\)"),
        ("7", r"got '7' \(str\)"),
        (-1, "got -1; nearest is 0"),
        (MAX_SEED + 1, f"nearest is {MAX_SEED}"),
        (10**5000, "one of more than 40 digits; nearest is"),
        (torch.tensor([[7]]), r"seed must be one number or one per clip \(1\), got \(1, 1\)"),
        ([7, True], r"one per clip \(1\), got 2"),
        ([True], r"got True \(bool\)"),
    ],
    ids=lambda value: str(value)[:20] if not isinstance(value, int) or abs(value) < 2**70 else "huge",
)
def test_what_is_no_seed_is_refused_by_name(seed, text):
    with pytest.raises(ConfigError, match=text):
        sample_seeds(seed, 1)


@pytest.mark.parametrize("index", [True, -1, 1.5, 2**31, [0, 1]], ids=repr)
def test_what_is_no_index_is_refused_by_name(index):
    with pytest.raises(ConfigError, match="index must be"):
        sample_seeds(1, 1, index)
