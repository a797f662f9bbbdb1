"""Embeddings lie beside the table of clips, row for row, and what is not one is told."""

import numpy as np
import pytest

from mova.curate.config.verdicts import Gate
from mova.curate.decide.evidence import read_evidence
from mova.curate.decide.explain import explain_clip
from mova.curate.decide.verdicts import Absent
from mova.curate.folder import OutputFolder
from mova.curate.runner import run_all, run_verdicts
from mova.curate.score.embeddings import SpaceWriter, from_halves, open_space, space_file, to_half
from mova.curate.tables import iter_clips, read_columns
from mova.errors import DataError
from shared_curation import Here, ToyEmbeddings, ToyScore, toy_run, toy_vector, write_sources

GATE = Gate(near_duplicates={"yamnet": 0.99})


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    folder = tmp_path_factory.mktemp("embeddings")
    footage = write_sources(folder / "in", 8)
    run_all(toy_run(footage, folder / "out", score=ToyEmbeddings(), gates=(GATE,), executor=Here()))
    return footage, folder / "out"


def test_vectors_come_back_in_half_precision_and_what_is_no_direction_is_none():
    vectors = [np.array([0.5, -2.0, 1e-3]), np.array([1.0, 2.0, 3.0], np.float32)]
    np.testing.assert_allclose(from_halves([to_half(vector) for vector in vectors]), vectors, rtol=1e-3)
    for nothing in (np.zeros(3), np.array([np.nan, 1.0]), np.array([1e9, 1.0])):
        assert to_half(nothing) == b""


def test_the_table_of_clips_has_none_of_them_and_the_file_beside_it_has_all_row_for_row(output):
    _, folder = output
    table = folder / "score" / "clips.parquet"
    clips = list(iter_clips(table))
    assert not any(clip.embeddings for clip in clips)
    assert "embeddings" not in read_columns(folder / "clips.parquet", ("clip_id",))
    rows = open_space(table, "yamnet", len(clips))
    assert rows.shape == (len(clips), 8)
    for row, clip in zip(rows, clips, strict=True):
        has = clip.scores and clip.scores["sharpness"].value is not None
        np.testing.assert_array_equal(row, from_halves([to_half(toy_vector(clip.clip_id))])[0] if has else np.zeros(8))
    assert np.load(space_file(table, "yamnet")).dtype == np.float16


def test_small_pieces_give_the_same_file(output, tmp_path, monkeypatch):
    footage, folder = output
    for module in ("tables", "assemble", "decide.evidence", "summary"):
        monkeypatch.setattr(f"mova.curate.{module}.ROWS", 16)
    run_all(toy_run(footage, tmp_path, score=ToyEmbeddings(), gates=(GATE,), executor=Here()))
    name = "score/embeddings/yamnet.npy"
    assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()
    assert list(iter_clips(tmp_path / "clips.parquet")) == list(iter_clips(folder / "clips.parquet"))


def test_a_near_duplicate_names_the_clip_that_it_repeats_and_the_cosine(output):
    _, folder = output
    clips = {clip.clip_id: clip for clip in iter_clips(folder / "clips.parquet")}
    repeats = 0
    for clip in clips.values():
        reason = next((text for text in clip.reasons if text.startswith("near_duplicates_by_yamnet")), "")
        if not reason:
            continue
        other, cosine = reason.removeprefix("near_duplicates_by_yamnet: of ").split(", cosine ")
        original = clips[other]
        assert (original.uri, original.start_s) < (clip.uri, clip.start_s)
        assert not any(text.startswith("near_duplicates") for text in original.reasons)
        one, two = toy_vector(clip.clip_id), toy_vector(other)
        expected = one @ two / np.linalg.norm(one) / np.linalg.norm(two)
        assert float(cosine.removesuffix(" (yamnet)")) == pytest.approx(expected, abs=1e-3)
        told = explain_clip(folder, clip.clip_id)
        assert (told.gates[0].says, reason in "\n".join(told.lines())) == ("not met", True)
        repeats += 1
    assert repeats


def test_a_clip_without_a_vector_passes_and_says_why(output):
    _, folder = output
    silent = next(
        clip for clip in iter_clips(folder / "clips.parquet") if clip.scores and not clip.scores["sharpness"].value
    )
    (gate,) = explain_clip(folder, silent.clip_id).gates
    assert (gate.says, gate.measured) == ("not applicable", {"yamnet": "not applicable: no edge"})


def test_where_no_scorer_gives_any_the_gate_is_not_applied_and_old_files_go(output, tmp_path):
    footage, _ = output
    run_all(toy_run(footage, tmp_path, score=ToyEmbeddings(), executor=Here()))
    assert space_file(tmp_path / "score" / "clips.parquet", "yamnet").exists()
    run_all(toy_run(footage, tmp_path, score=ToyScore(), gates=(GATE,), executor=Here()))
    assert not space_file(tmp_path / "score" / "clips.parquet", "yamnet").exists()
    clips = [clip for clip in iter_clips(tmp_path / "clips.parquet") if clip.scores]
    assert not any("near_duplicates" in text for clip in clips for text in clip.reasons)
    (gate,) = explain_clip(tmp_path, clips[0].clip_id).gates
    assert (gate.says, gate.measured) == ("not applied", {"yamnet": "no scorer of this run measures it"})


def test_what_was_scored_is_decided_on_again_with_other_thresholds(output):
    footage, folder = output
    loose = Gate(near_duplicates={"yamnet": 0.8})
    evidence = read_evidence(folder / "score" / "clips.parquet", [loose])
    assert set(evidence.embeddings) == {"yamnet"}
    absent = evidence.no_embedding["yamnet"]
    assert ((absent == Absent.NO) == evidence.embeddings["yamnet"].any(axis=1)).all()
    run_verdicts(toy_run(footage, folder, score=ToyEmbeddings(), gates=(loose,)))
    rejected = [clip for clip in iter_clips(folder / "clips.parquet") if "near_duplicates" in str(clip.reasons)]
    run_verdicts(toy_run(footage, folder, score=ToyEmbeddings(), gates=(GATE,), executor=Here()))
    assert len(rejected) > sum("near_duplicates" in str(clip.reasons) for clip in iter_clips(folder / "clips.parquet"))


def test_a_file_of_other_rows_or_none_is_told(tmp_path):
    table = tmp_path / "score" / "clips.parquet"
    assert open_space(table, "yamnet", 2) is None
    with SpaceWriter(OutputFolder(tmp_path), table) as writer:
        writer.add({}, 1)
        writer.add({"yamnet": (np.array([1]), np.ones((1, 3), np.float16))}, 2)
        writer.add({}, 1)
        with pytest.raises(DataError, match="must have 3 numbers each, got 4"):
            writer.add({"yamnet": (np.array([0]), np.ones((1, 4), np.float16))}, 1)
    assert open_space(table, "yamnet", 4).tolist() == [[0] * 3, [0] * 3, [1] * 3, [0] * 3]
    with pytest.raises(DataError, match="must have 5 rows"):
        open_space(table, "yamnet", 5)
    space_file(table, "yamnet").write_bytes(b"no array")
    with pytest.raises(DataError, match="cannot be read"):
        open_space(table, "yamnet", 4)
