"""A hook that may refuse prompts and clips."""

import re
from pathlib import Path

import numpy as np
import pytest

from footage_kit import beeps, steady_ticks, write_video
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


def test_the_example_of_the_guide_refuses_what_it_says(tmp_path, monkeypatch):
    guide = (Path(__file__).parents[3] / "docs" / "guides" / "serve_api.md").read_text()
    (example,) = [block for block in re.findall(r"```python\n(.*?)```", guide, re.DOTALL) if "def check" in block]
    (tmp_path / "guide_filter.py").write_text(example)
    monkeypatch.syspath_prepend(tmp_path)
    content = ContentFilter("guide_filter:check")
    assert content.prompt("A ball bounces.") is None
    assert content.prompt("A ball.", "a Sword, blood") == "it has the word blood"
    ticks, base = steady_ticks(24, 0.5)
    for level, reason in ((0, "the clip is dark"), (90, None)):
        frames = [np.full((48, 64, 3), level, np.uint8)] * len(ticks)
        path = write_video(tmp_path / f"{level}.mp4", frames, ticks, base, audio=beeps([0.2], 0.5))
        assert content.clip(path) == reason
