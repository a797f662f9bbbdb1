"""What gates look at is what the table says, and what they decide is what its readers see."""

import numpy as np
import pytest

from mova.curate.config.verdicts import Gate
from mova.curate.decide.evidence import read_evidence
from mova.curate.decide.verdicts import Absent
from mova.curate.runner import run_all, run_verdicts
from mova.curate.tables import iter_clips, read_columns
from shared_curation import toy_run, write_sources


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evidence")
    footage = write_sources(folder / "in", 6)
    (footage / "z.txt").write_text("5 source999")
    run_all(toy_run(footage, folder / "out"))
    return footage, folder / "out"


def test_evidence_is_what_the_records_say(output):
    _, folder = output
    gates = [
        Gate(score="sharpness", above=0.5),
        Gate(score="dover_technical", above=0.5),
        Gate(score="imagebind", above=0.5),
        Gate(tags=("speech", "whistle")),
        Gate(near_duplicates=3),
    ]
    evidence = read_evidence(folder / "score" / "clips.parquet", gates)
    clips = list(iter_clips(folder / "score" / "clips.parquet"))
    assert evidence.is_open.tolist() == [clip.state == "kept" for clip in clips]
    assert set(evidence.scores) == {"sharpness", "dover_technical"}
    for row, clip in enumerate(clips):
        score = clip.scores.get("sharpness")
        if score is not None and score.value is not None:
            assert evidence.scores["sharpness"][row] == score.value
            assert evidence.absences["dover_technical"][row] == Absent.SKIPPED
        elif score is not None:
            assert evidence.absences["sharpness"][row] == Absent.NOT_APPLICABLE
        assert evidence.tags["speech"][row] == ("speech" in clip.tags)
        if clip.fingerprints:
            assert evidence.hashes["image_hash"][row].tobytes().hex() == clip.fingerprints["image_hash"]
        assert evidence.has_hash["image_hash"][row] == bool(clip.fingerprints)
    assert not evidence.tags["whistle"].any()
    assert np.isnan(evidence.scores["dover_technical"]).all()


def test_every_gate_that_a_clip_does_not_meet_is_a_reason_in_the_order_of_the_gates(output):
    footage, folder = output
    gates = (Gate(score="loudness", above=0.5), Gate(tags=("speech",)), Gate(near_duplicates=16))
    run_verdicts(toy_run(footage, folder, gates=gates))
    clips = {clip.clip_id: clip for clip in iter_clips(folder / "clips.parquet")}
    verdicts = read_columns(folder / "verdicts.parquet", ("clip_id", "state", "reasons"))
    repeats = 0
    for clip_id, state, reasons in zip(*(verdicts[name] for name in ("clip_id", "state", "reasons")), strict=True):
        clip = clips[clip_id]
        if not clip.scores:
            continue
        expected = ["loudness: must be > 0.5"] if clip.scores["loudness"].value <= 0.5 else []
        expected += [] if "speech" in clip.tags else ["tags: must be any of speech"]
        if reasons and reasons[-1].startswith("near_duplicates"):
            assert not expected
            original = clips[reasons[-1].removeprefix("near_duplicates: of ")]
            assert (original.uri, original.start_s) < (clip.uri, clip.start_s)
            assert not any(reason.startswith("near_duplicates") for reason in original.reasons)
            repeats += 1
        else:
            assert reasons == expected
        assert state == ("rejected" if reasons else "kept")
    assert repeats
