"""What was found is read back to the bit, whatever became of the file."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mova.errors import ConfigError
from mova.evaluate.measure.store import SCORES_FILE, ScoreStore
from mova.scorers.base import Absence, Findings, Score

FOUND = Findings(
    scores={"a": Score(0.1), "b": Score(None, "not applicable: nobody speaks")},
    tags=("Dog", "Öl"),
    spans={"speech": ((0.0, 1.5), (2.0, 3.0))},
    fingerprints={"image": "00ff"},
    texts=("Hello\nworld",),
    embeddings={"yamnet": np.linspace(-1, 1, 7, dtype=np.float32)},
)


def known(folder, key):
    with ScoreStore(folder) as store:
        return store.find(key)


def test_what_an_endpoint_did_not_answer_is_known_to_this_run_alone(tmp_path):
    silent = Findings({"a": Score.absent(Absence.NO_ANSWER, "timeout")})
    with ScoreStore(tmp_path) as store:
        store.add("k", "clip", "said", silent)
        assert store.find("k") == silent
    assert known(tmp_path, "k") is None


def test_findings_are_read_back_to_the_bit(tmp_path):
    with ScoreStore(tmp_path) as store:
        store.add("k", "clip", "levels", FOUND)
    read = known(tmp_path, "k")
    assert read == FOUND
    assert read.embeddings["yamnet"].tobytes() == FOUND.embeddings["yamnet"].tobytes()
    assert known(tmp_path, "other") is None


@given(cut=st.integers(1, 200), noise=st.binary(max_size=40))
def test_a_line_that_was_cut_short_or_damaged_costs_itself_alone(tmp_path_factory, cut, noise):
    folder = tmp_path_factory.mktemp("store")
    with ScoreStore(folder) as store:
        for key in "abc":
            store.add(key, "clip", "levels", FOUND)
    path = folder / SCORES_FILE
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut] + noise.replace(b"\n", b""))
    with ScoreStore(folder) as again:
        assert again.find("a") == again.find("b") == FOUND
        again.add("d", "clip", "levels", FOUND)
    assert known(folder, "d") == FOUND


def test_lines_that_are_no_findings_are_passed_over(tmp_path):
    lines = ["null", "[]", '{"key": 3}', json.dumps({"key": "k", "scores": {"a": "x"}}), "\x00", "{" * 5000]
    (tmp_path / SCORES_FILE).write_text("\n".join(lines))
    assert known(tmp_path, "k") is None


def test_nothing_is_kept_without_a_folder_and_what_is_known_is_not_written_twice(tmp_path):
    store = ScoreStore()
    store.add("k", "clip", "levels", FOUND)
    assert store.find("k") == FOUND
    with ScoreStore(tmp_path) as kept:
        kept.add("k", "clip", "levels", FOUND)
        kept.add("k", "clip", "levels", Findings({}))
    assert len((tmp_path / SCORES_FILE).read_bytes().splitlines()) == 1


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    (tmp_path / SCORES_FILE).mkdir()
    with pytest.raises(ConfigError, match="must be a file that can be read and written"):
        ScoreStore(tmp_path)
