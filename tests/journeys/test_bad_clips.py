"""Clips that nothing good is known of, through the command: each measure of each has a value or a reason."""

import json
import math

import av
import pytest

from mova.cli.app import main
from mova.media.write import write_clip
from mova.types import Clip
from published_networks import moving
from shared_scoring import clip_of, still, tone

METRICS = "levels,spectrum,sound_events,speech_quality,image_faults,motion,synchrony,text_area"


def only_sound(path):
    with av.open(str(path), "w") as target:
        stream = target.add_stream("aac", rate=48_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(tone(440, 1.0)[None], format="fltp", layout="mono")
        frame.sample_rate = 48_000
        target.mux([*stream.encode(frame), *stream.encode()])


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Return the clips of a report by their names, and what was printed as JSON."""
    folder = tmp_path_factory.mktemp("bad")
    sound = tone(440, 1.0)
    whole = clip_of(folder / "good.mp4", moving(1.0), sound).path.read_bytes()
    clip_of(folder / "silent.mp4", moving(1.0), 0 * sound)
    clip_of(folder / "without_audio.mp4", moving(1.0))
    only_sound(folder / "without_video.mp4")
    write_clip(
        folder / "other_size.mp4", Clip(moving(1.0, (48, 160)), tone(440, 1.0, sample_rate=16_000)[None], 24.0, 16_000)
    )
    write_clip(folder / "other_rate.mp4", Clip(moving(0.5), tone(440, 1.0)[None], 12.0, 48_000))
    clip_of(folder / "one_frame.mp4", still(1 / 24), sound)
    clip_of(folder / "static.mp4", still(1.0), sound)
    (folder / "zero_length.mp4").write_bytes(b"")
    (folder / "corrupt.mp4").write_bytes(bytes(reversed(whole)))
    (folder / "cut_short.mp4").write_bytes(whole[: len(whole) // 2])
    report = folder.with_name("report")
    assert main(["evaluate", str(folder), "--metrics", METRICS, "--report", str(report)]) == 0
    text = (report / "report.json").read_text()
    document = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is in the report"))
    return document, {clip["id"]: clip for clip in document["clips"]}


def test_every_measure_of_every_clip_has_a_value_or_a_reason(found):
    document, clips = found
    assert len(clips) == 11
    names = set(clips["good"]["scores"]) | set(clips["good"]["reasons"])
    for clip in clips.values():
        assert set(clip["scores"]) | set(clip["reasons"]) == names
        assert not set(clip["scores"]) & set(clip["reasons"])
        assert all(math.isfinite(value) for value in clip["scores"].values())
    for row in document["rows"]:
        assert row["num_total"] == 11
        if row["name"] in names:
            assert row["estimate"]["num_clips"] == sum(row["name"] in clip["scores"] for clip in clips.values())


@pytest.mark.parametrize("name", ["zero_length", "corrupt", "without_video"])
def test_what_cannot_be_read_is_failed_in_every_measure(found, name):
    assert all(reason.startswith("failed: unreadable: ") for reason in found[1][name]["reasons"].values())
    assert found[1][name]["scores"] == {}


def test_a_file_that_was_cut_short_is_failed_where_what_is_lost_was_needed(found):
    reasons = found[1]["cut_short"]["reasons"]
    assert all(reason.startswith("failed: ReadError: ") for reason in reasons.values())
    assert {"amplitude", "motion", "av_align"} <= set(reasons)


def test_what_a_clip_has_not_is_not_applicable_and_the_rest_is_measured(found):
    clips = found[1]
    assert clips["without_audio"]["reasons"]["amplitude"] == "not applicable: the clip has no audio"
    assert clips["without_audio"]["scores"]["motion"] > 0.1
    assert clips["silent"]["scores"]["amplitude"] == 0.0
    assert clips["silent"]["reasons"]["loudness_lufs"].startswith("not applicable: all of the sound is below the gate")
    assert clips["silent"]["reasons"]["onset_motion_correlation"] == "not applicable: the sound does not change"
    assert clips["static"]["reasons"]["onset_motion_correlation"] == "not applicable: the video does not change"
    assert clips["one_frame"]["reasons"]["loudness_lufs"] == "not applicable: loudness needs at least 0.4 s of sound"
    for name in ("other_size", "other_rate"):
        assert set(clips[name]["scores"]) == set(clips["good"]["scores"]), name


def test_names_that_match_no_prompt_or_several_are_refused(tmp_path, capsys):
    (tmp_path / "clips").mkdir()
    clip_of(tmp_path / "clips" / "a_video_1.mp4", still(0.2))
    for prompts, text in (
        ({"b": "x"}, "a_video_1"),
        ({"s": {"a": {"prompt": "x"}}, "t": {"a": {"prompt": "y"}}}, "a_video_1"),
    ):
        (tmp_path / "prompts.json").write_text(json.dumps(prompts))
        words = [
            "evaluate",
            str(tmp_path / "clips"),
            "--prompts",
            str(tmp_path / "prompts.json"),
            "--metrics",
            "levels",
        ]
        assert main(words) == 2
        assert text in capsys.readouterr().err
