"""Names of clips."""

import pytest

from mova.errors import ConfigError
from mova.evaluate.clips.item import ClipItem, check_items


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 201, "\x1b[31m"])
def test_a_name_that_no_report_can_show_is_refused(name):
    with pytest.raises(ConfigError, match="1 to 200 printable characters, got"):
        ClipItem(name, None)


def test_no_clip_and_a_name_that_comes_twice_are_refused():
    with pytest.raises(ConfigError, match=r"needs 1 to 1,000,000 clips, got 0 in here"):
        check_items([], "here")
    with pytest.raises(ConfigError, match="got 'a' more than once in here"):
        check_items([ClipItem("a", None), ClipItem("b", None), ClipItem("a", None)], "here")
