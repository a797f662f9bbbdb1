"""Several clips of one command: lists of prompts, counts, names of files."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from mova.errors import ConfigError
from mova.files.numbered import numbered
from mova.generate.many import MAX_CLIPS, make_jobs, read_prompts
from mova.generate.request import ClipOptions, MediaFiles
from mova.settings.sampling import GivenSettings


@dataclass(frozen=True)
class Wanted:
    """What a request was made of."""

    options: ClipOptions


def jobs(wanted, count=None, output="out/clip.mp4", is_list=False):
    return make_jobs(wanted, count, Path(output), Wanted, is_list=is_list)


def names(made):
    return [str(job.output) for job in made]


def test_a_list_holds_prompts_and_options_of_single_clips(tmp_path):
    line = {"prompt": "b", "seed": 3, "guidance_scale": 2, "image": "first.png", "output": "b.mp4", "size": "64x48"}
    (tmp_path / "list.txt").write_text("\ufeffa red ball; taps\r\n\r\n" + json.dumps(line) + "\n", encoding="utf-8")
    first, second = read_prompts(tmp_path / "list.txt")
    assert first == ClipOptions(prompt="a red ball; taps")
    assert second == ClipOptions(
        prompt="b",
        seed=3,
        files=MediaFiles(image=tmp_path / "first.png"),
        settings=GivenSettings(guidance_scale=2.0, width=64, height=48),
        output="b.mp4",
    )


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "a prompt in each line"),
        (b" \n\n", "a prompt in each line"),
        (b"a\xff", "must be a text file in UTF-8.*no UTF-8 from byte 1 on"),
        (b"a\n{\n", "line 2 must be JSON"),
        (b'a\n{"seed": 1}\n', "line 2 must have the key 'prompt'"),
        (b'{"prompt": "a", "colour": 1}', "line 1 must hold only prompt, .*got 'colour'"),
        (b'{"prompt": "a", "steps": "many"}', "line 1: steps must be a whole number"),
        (b'{"prompt": "a", "size": "big"}', "size must read WIDTHxHEIGHT"),
        (b'{"prompt": "a", "height": 64}', "line 1 must hold only prompt, .*got 'height'"),
        (b'{"prompt": "a", "output": "../a.mp4"}', "line 1: output must be the plain name of an .mp4 file"),
        (b'{"prompt": ["a"]}', "line 1: prompt must be text"),
        (b"a\n" * (MAX_CLIPS + 1), "at most 10000 lines"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_list_that_cannot_be_used_is_refused_with_its_line(tmp_path, content, text):
    (tmp_path / "list.txt").write_bytes(content)
    with pytest.raises(ConfigError, match=text):
        read_prompts(tmp_path / "list.txt")


def test_a_missing_list_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="prompts must be a text file that can be read"):
        read_prompts(tmp_path / "list.txt")
    with pytest.raises(ConfigError, match="prompts must be a text file that can be read"):
        read_prompts(tmp_path)


def test_a_single_clip_keeps_its_name():
    assert names(jobs([ClipOptions(prompt="a")])) == ["out/clip.mp4"]
    assert names(jobs([ClipOptions(prompt="a")], count=1)) == ["out/clip.mp4"]
    assert names(jobs([ClipOptions(prompt="a")], is_list=True)) == ["out/clip-000.mp4"], "a list may grow"


def test_several_clips_differ_in_name_and_index():
    made = jobs([ClipOptions(prompt="a", index=3)], count=3)
    assert names(made) == ["out/clip-000.mp4", "out/clip-001.mp4", "out/clip-002.mp4"]
    assert [job.request.options.index for job in made] == [3, 4, 5]
    made = jobs([ClipOptions(prompt="a"), ClipOptions(prompt="b", output="own.mp4")], count=2, is_list=True)
    assert names(made) == ["out/clip-000.mp4", "out/clip-001.mp4", "out/own-000.mp4", "out/own-001.mp4"]
    assert [job.request.options.index for job in made] == [0, 1, 0, 1]


def test_the_number_stands_where_the_pattern_says():
    assert numbered(Path("a/%04d-clip.mp4"), 7, 9) == Path("a/0007-clip.mp4")
    assert numbered(Path("clip%d.mp4"), 12, 20) == Path("clip12.mp4")
    assert numbered(Path("clip.mp4"), 7, 10_000) == Path("clip-0007.mp4")


@pytest.mark.parametrize(
    ("wanted", "count", "text"),
    [
        ([ClipOptions(prompt="a")], 0, "count must lie between 1 and 10000, got 0; nearest is 1"),
        ([ClipOptions(prompt="a")], 10**30, "nearest is 10000"),
        ([ClipOptions(prompt="a")] * 101, 100, "at most 10000 clips, got 10100"),
        (
            [ClipOptions(prompt="a", output="a.mp4"), ClipOptions(prompt="b", output="A.mp4")],
            None,
            "another file for each clip",
        ),
    ],
)
def test_what_cannot_be_named_or_counted_is_refused(wanted, count, text):
    with pytest.raises(ConfigError, match=text):
        jobs(wanted, count, is_list=True)
