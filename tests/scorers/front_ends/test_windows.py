"""Windows of a sound."""

import numpy as np
import pytest

from mova.scorers.front_ends.windows import windows_of


def test_the_last_window_is_filled_up():
    windows, lengths = windows_of(np.arange(1, 8, dtype=np.float32), 3)
    assert windows.tolist() == [[1, 2, 3], [4, 5, 6], [7, 0, 0]]
    assert lengths.tolist() == [3, 3, 1]


def test_a_sound_that_fits_has_no_empty_window():
    windows, lengths = windows_of(np.ones(6, np.float32), 3)
    assert (windows.shape, lengths.tolist()) == ((2, 3), [3, 3])


def test_an_empty_sound_is_refused():
    with pytest.raises(ValueError, match="got none"):
        windows_of(np.zeros(0, np.float32), 3)
