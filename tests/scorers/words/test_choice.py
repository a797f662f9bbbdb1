"""Who writes down what is said, chosen before anything is asked."""

import pickle

import pytest

from fake_endpoint import KEY_ENV
from mova.errors import ConfigError
from mova.scorers.words.choice import choose_transcriber


def test_a_choice_is_checked_before_anything_is_asked(fake, tmp_path, monkeypatch):
    assert choose_transcriber("") is None
    with pytest.raises(ConfigError, match="must be the address of an endpoint"):
        choose_transcriber(str(tmp_path))
    with pytest.raises(ConfigError, match="must hold neither user"):
        choose_transcriber("http://user:secret@host/v1")
    with pytest.raises(ConfigError, match="transcriber-model goes with"):
        choose_transcriber("", model="large")
    with pytest.raises(ConfigError, match="transcriber-calls must be 1 or more, got 0"):
        choose_transcriber(fake.base_url, most_calls=0)
    monkeypatch.delenv(KEY_ENV)
    with pytest.raises(ConfigError, match="must hold the API key"):
        choose_transcriber(fake.base_url, key_variable=KEY_ENV)


def test_a_folder_is_known_by_its_contents(tmp_path):
    chosen = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.bin").write_bytes(b"weights")
        chosen.append(choose_transcriber(str(tmp_path / name)))
    assert chosen[0].identity == chosen[1].identity
    assert pickle.loads(pickle.dumps(chosen[0])) == chosen[0]
    assert len(set(chosen)) == 2
    (tmp_path / "a" / "model.bin").write_bytes(b"others")
    assert choose_transcriber(str(tmp_path / "a")).identity != chosen[0].identity
