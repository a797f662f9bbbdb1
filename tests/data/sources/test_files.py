"""Clips in media files: time, size, length, sound, and what is left out."""

import json
import pickle

import numpy as np
import pytest

from mova.data.config import MediaDataConfig
from mova.data.sources.files import MediaSource, to_loudness, with_duration
from mova.data.sources.shards import write_shard
from mova.errors import DataError
from mova.media.waveform import loudness_lufs, peak

RATE = 16_000


@pytest.fixture
def open_source(write_list):
    """Return a function that opens the training split of some files of `tmp_path`; two others are for validation."""

    def open_it(names, split="train", **changes):
        path = write_list(names)
        settings = {"sizes": ("64x48", "48x64"), "num_frames": 25, "min_frames": 9, "validation_clips": 2, "workers": 1}
        return MediaSource(MediaDataConfig(source="metadata", path=path, **settings | changes), split, RATE)

    return open_it


@pytest.fixture
def films(tmp_path, make_film):
    """Six films of one second."""
    return [make_film(tmp_path / f"{index}.mp4", seconds=25 / 24, at_s=(0.5,)).name for index in range(6)]


def flash_and_click(clip, frame_rate=24.0):
    brightness = clip.frames.mean((1, 2, 3))
    return int(np.argmax(brightness > 150)) / frame_rate, int(np.argmax(np.abs(clip.waveform[0]) > 0.1)) / RATE


@pytest.mark.parametrize("rate", [12.0, 24.0, 30.0, 50.0])
def test_picture_and_sound_stay_together_at_every_frame_rate(open_source, films, make_film, tmp_path, rate):
    names = [make_film(tmp_path / f"other{i}.mp4", rate=rate, at_s=(0.5,), seconds=1.25).name for i in range(3)]
    source = open_source(names, num_frames=25)
    assert len(source.entries) == 1
    seen, heard = flash_and_click(source.load(0, 0.0))
    assert seen == pytest.approx(0.5, abs=1 / 24)
    assert heard == pytest.approx(0.5, abs=0.01)


def test_a_span_of_a_long_clip_begins_at_random_and_stays_inside(open_source, make_film, tmp_path):
    names = [make_film(tmp_path / f"{index}.mp4", seconds=3.0, at_s=(0.5, 1.5, 2.5)).name for index in range(5)]
    source = open_source(names, views=4)
    starts = [entry.start_s for entry in source.entries]
    assert len(source.entries) == 12
    assert len(set(starts)) == 12
    assert all(0 <= start <= 3.0 - 25 / 24 + 1e-6 for start in starts)
    assert [entry.start_s for entry in open_source(names, views=4).entries] == starts
    assert len({entry.identity for entry in source.entries}) == 12
    for index, start in enumerate(starts[:4]):
        clip = source.load(index)
        seen, heard = flash_and_click(clip)
        assert clip.own_frames == 25
        event = min((when for when in (0.5, 1.5, 2.5) if when > start + 0.1), default=None)
        if event is not None and 0.1 < event - start < 0.9 and start < event - 0.2:
            assert seen + start == pytest.approx(event, abs=1.5 / 24)
            assert heard + start == pytest.approx(event, abs=0.02)
    assert 0 < source.random_start(0, 0.5) < 3.0 - 25 / 24


def test_a_short_clip_is_held_silent_and_masked(open_source, films, make_film, tmp_path):
    name = make_film(tmp_path / "short.mp4", seconds=0.5, at_s=(0.25,)).name
    source = open_source([*films, name])
    index = next(i for i, entry in enumerate(source.entries) if entry.key == name)
    clip = source.load(index)
    assert clip.frames.shape == (25, 48, 64, 3)
    assert clip.own_frames == 12
    assert clip.own_samples == ((0, pytest.approx(8000, abs=400)),)
    assert np.array_equal(clip.frames[11], clip.frames[24])
    assert peak(clip.waveform[:, 9600:]) < 1e-3


def test_each_clip_goes_to_the_size_of_its_aspect(open_source, films, make_film, tmp_path):
    tall = [make_film(tmp_path / f"tall{i}.mp4", size=(96, 48), seconds=25 / 24).name for i in range(3)]
    source = open_source([*films, *tall])
    buckets = {entry.key: entry.bucket for entry in source.entries}
    assert source.sizes == ((48, 64), (64, 48))
    assert {key for key, bucket in buckets.items() if bucket == 1} == set(tall) & set(buckets)
    index = next(i for i, entry in enumerate(source.entries) if entry.key in tall)
    assert source.load(index).frames.shape == (25, 64, 48, 3)


def test_what_cannot_be_used_is_counted_by_reason(open_source, films, make_film, tmp_path, caplog):
    (tmp_path / "broken.mp4").write_bytes(b"no film")
    make_film(tmp_path / "silent.mp4", sound=False, seconds=25 / 24)
    make_film(tmp_path / "short.mp4", seconds=0.25, at_s=())
    names = [*films, "broken.mp4", "silent.mp4", "short.mp4", "absent.mp4"]
    (tmp_path / "image.png").write_bytes(b"an image")
    (tmp_path / "folder.mp4").mkdir()
    names += ["image.png", "folder.mp4"]
    train, held = (open_source(names, split, max_skipped_share=0.9) for split in ("train", "validation"))
    assert {entry.key for entry in (*train.entries, *held.entries)} == set(films)
    assert train.skipped == held.skipped
    assert train.skipped == {
        "damaged": ["broken.mp4"],
        "no audio": ["silent.mp4"],
        "too short": ["short.mp4"],
        "missing": ["absent.mp4"],
        "an image, where a video or an audio file is wanted": ["image.png"],
        "that are no files": ["folder.mp4"],
    }
    assert "cannot be used" in caplog.text
    with pytest.raises(
        DataError, match=r"6 of 12 clips of .* cannot be used: 1 .*; at most 5% may be .*max_skipped_share=0.5"
    ):
        open_source(names)


def test_clips_without_sound_can_be_learned_from_by_their_picture(open_source, films, make_film, tmp_path):
    for index in range(3):
        make_film(tmp_path / f"silent{index}.mp4", sound=False, seconds=25 / 24)
    names = [f"silent{index}.mp4" for index in range(3)]
    source = open_source(names, require_sound=False)
    assert [entry.has_audio for entry in source.entries] == [False]
    clip = source.load(0)
    assert (clip.own_frames, clip.own_samples) == (25, ())
    assert not clip.waveform.any()


def test_sound_files_can_be_learned_from_by_their_sound(open_source, tmp_path):
    import wave

    for index in range(3):
        with wave.open(str(tmp_path / f"{index}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE)
            file.writeframes((8000 * np.sin(np.arange(12_000) * 0.1)).astype(np.int16).tobytes())
    names = [f"{index}.wav" for index in range(3)]
    with pytest.raises(DataError, match="3 no video"):
        open_source(names)
    source = open_source(names, require_picture=False)
    assert [(entry.has_video, entry.has_audio) for entry in source.entries] == [(False, True)]
    clip = source.load(0)
    assert (clip.own_frames, clip.own_samples) == (0, ((0, 12_000),))
    assert clip.frames.shape == (25, 48, 64, 3)
    assert peak(clip.waveform) == pytest.approx(8000 / 2**15, abs=0.01)


def test_splits_share_no_clip_and_adding_clips_moves_few(open_source, films, make_film, tmp_path):
    train, held = open_source(films), open_source(films, "validation")
    assert len(held.entries) == 2
    assert not {entry.key for entry in train.entries} & {entry.key for entry in held.entries}
    more = [*films, make_film(tmp_path / "new.mp4", seconds=25 / 24).name]
    moved = {entry.key for entry in open_source(more, "validation").entries} - {entry.key for entry in held.entries}
    assert moved <= {"new.mp4"}
    with pytest.raises(DataError, match="more clips than the 2 kept for validation"):
        open_source(films[:2])


def test_what_was_found_out_is_remembered_until_the_file_changes(films, write_list, tmp_path):
    data = MediaDataConfig(source="metadata", path=write_list(films), num_frames=25, min_frames=9, validation_clips=2)
    memory = tmp_path / "cache" / "files.json"
    first = MediaSource(data, "train", RATE, memory)
    known = json.loads(memory.read_text())
    assert len(known) == 6
    for entry in known.values():
        entry["sha256"] = "remembered"
    memory.write_text(json.dumps(known))
    assert first.entries[0].identity != MediaSource(data, "train", RATE, memory).entries[0].identity
    for name in films:
        (tmp_path / name).touch()
    assert MediaSource(data, "train", RATE, memory).entries[0].identity == first.entries[0].identity


def test_shards_are_read_like_files(films, tmp_path, write_list):
    write_shard(tmp_path / "shards" / "0.tar", [(name[:-4], tmp_path / name, {"caption": name}) for name in films])
    settings = {"num_frames": 25, "min_frames": 9, "validation_clips": 2, "sizes": ("64x48",)}
    sharded = MediaSource(MediaDataConfig(source="shards", path=tmp_path / "shards", **settings), "train", RATE)
    seen, heard = flash_and_click(sharded.load(0))
    assert len(sharded.entries) == 4
    assert seen == pytest.approx(0.5, abs=1 / 24)
    assert heard == pytest.approx(0.5, abs=0.01)
    assert pickle.loads(pickle.dumps(sharded)).entries == sharded.entries


def test_every_clip_is_brought_to_one_loudness_as_far_as_its_peaks_allow(open_source, films):
    tone = (0.05 * np.sin(np.arange(RATE) * 0.3)).astype(np.float32)[None]
    assert loudness_lufs(to_loudness(tone, RATE, -23.0), RATE) == pytest.approx(-23.0, abs=0.01)
    click = np.zeros((1, RATE), dtype=np.float32)
    click[0, 5000:5100] = 0.5
    assert peak(to_loudness(click, RATE, -5.0)) == pytest.approx(1.0)
    silence = np.zeros((1, RATE), dtype=np.float32)
    assert np.array_equal(to_loudness(silence, RATE, -23.0), silence)
    plain, level = open_source(films), open_source(films, loudness_lufs=-40.0)
    assert plain.entries[0].identity != level.entries[0].identity
    assert loudness_lufs(level.load(0).waveform, RATE) == pytest.approx(-40.0, abs=0.1)


def test_the_length_is_said_where_it_is_asked_for(open_source, films):
    assert with_duration("A bell rings.", 8.04) == "A bell rings. Duration: 8.0 seconds."
    assert open_source(films, duration_token=True).entries[0].caption.endswith("Duration: 1.0 seconds.")


@pytest.mark.parametrize(
    ("sounds", "own"),
    [
        ([(0.0, 0.4)], [(0.0, 0.4)]),
        ([(0.7, 3.0)], [(0.7, 25 / 24)]),
        ([(0.1, 0.3), (0.6, 0.9)], [(0.1, 0.3), (0.6, 0.9)]),
    ],
    ids=["ends early", "begins late", "pauses"],
)
def test_only_a_clips_own_sound_counts(open_source, films, make_sounding, tmp_path, sounds, own):
    name = make_sounding(tmp_path / "odd.mkv", seconds=25 / 24, sounds=sounds).name
    source = open_source([*films, name])
    clip = source.load(next(i for i, entry in enumerate(source.entries) if entry.key == name))
    assert clip.own_frames == 25
    assert np.array(clip.own_samples) == pytest.approx(np.array(own) * RATE, abs=200)


def test_held_pictures_and_the_sound_under_them_do_not_count(open_source, films, make_sounding, tmp_path):
    name = make_sounding(tmp_path / "odd.mkv", seconds=0.5, sounds=[(0.0, 1.0)]).name
    source = open_source([*films, name])
    clip = source.load(next(i for i, entry in enumerate(source.entries) if entry.key == name))
    assert clip.own_frames == 12
    assert clip.own_samples == ((0, 8000),)


def test_a_span_is_drawn_where_something_is_heard(open_source, make_sounding, tmp_path):
    sounds = [(9.0, 9.6)]
    names = [make_sounding(tmp_path / f"{i}.mkv", seconds=12 + i / 24, sounds=sounds).name for i in range(4)]
    source = open_source(names, views=6)
    assert len({entry.start_s for entry in source.entries}) == len(source.entries)
    for index, entry in enumerate(source.entries):
        assert entry.has_audio
        ((first, end),) = source.load(index).own_samples
        assert end - first >= 0.04 * RATE
    assert source.random_start(0, 0.0) == pytest.approx(9.3 - 25 / 24)
    assert source.random_start(0, 0.999) == pytest.approx(9.3, abs=0.01)


@pytest.mark.parametrize("zeros", [True, False])
def test_a_silent_clip_is_left_out_or_learned_from_by_its_picture_by_name(
    open_source, films, make_sounding, tmp_path, caplog, zeros
):
    sounds = () if zeros else [(1.2, 1.5)]  # after the last picture
    name = make_sounding(tmp_path / "silent.mkv", seconds=25 / 24, sounds=sounds, zeros=zeros).name
    assert open_source([*films, name], max_skipped_share=0.5).skipped == {"silent": [name]}
    source = open_source([*films, name], require_sound=False)
    assert "1 clips are silent and learned from by their video alone (silent.mkv)" in caplog.text
    index = next(i for i, entry in enumerate(source.entries) if entry.key == name)
    assert not source.entries[index].has_audio
    assert source.load(index).own_samples == ()
    assert source.load(index).own_frames == 25


def test_a_file_that_breaks_off_is_left_out_before_anything_is_encoded(open_source, films, make_sounding, tmp_path):
    whole = make_sounding(tmp_path / "whole.mkv", seconds=3.0, sounds=[(0.0, 3.0)]).read_bytes()
    (tmp_path / "cut.mkv").write_bytes(whole[: len(whole) // 2])
    assert open_source([*films, "cut.mkv"], max_skipped_share=0.5).skipped == {"damaged": ["cut.mkv"]}
