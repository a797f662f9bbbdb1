"""A hook that may refuse prompts and clips."""

import pytest

from mova.errors import ConfigError
from mova.serve.access.content import ContentFilter


@pytest.fixture
def hook(tmp_path, monkeypatch):
    (tmp_path / "my_filter.py").write_text(
        "number = 3\n"
        "def check(kind, value):\n"
        "    if 'boom' in value:\n"
        "        raise RuntimeError(value)\n"
        "    return f'{kind} with a sword' if 'sword' in value else None\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    return "my_filter:check"


def test_without_a_hook_all_passes(tmp_path):
    assert ContentFilter("").prompt("sword") is None
    assert ContentFilter("").clip(tmp_path / "sword.mp4") is None


def test_prompts_and_clips_are_shown_to_the_hook(hook, tmp_path):
    content = ContentFilter(hook)
    assert content.prompt("a ball", None) is None
    assert content.prompt("a ball", "a sword") == "prompt with a sword"
    assert content.clip(tmp_path / "sword.mp4") == "clip with a sword"


def test_a_hook_that_fails_lets_nothing_pass(hook, caplog):
    assert ContentFilter(hook).prompt("boom") == "The content filter has failed."


@pytest.mark.parametrize("wrong", ["no_such_module:check", "my_filter:none", "my_filter:number"])
def test_a_hook_that_there_is_not_is_said_before_anything_starts(hook, wrong):
    with pytest.raises(ConfigError, match="content_filter must name"):
        ContentFilter(wrong)
