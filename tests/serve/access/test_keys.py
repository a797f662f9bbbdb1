"""Keys are shown once; only digests are kept."""

import json
import stat

import pytest

from mova.errors import ConfigError
from mova.serve.access.keys import Keys, digest_of
from mova.serve.settings import QuotaSection


@pytest.fixture
def keys(tmp_path):
    return Keys(tmp_path / "data" / "keys.json")


def test_a_key_is_known_by_its_secret_until_it_is_revoked(keys):
    made, secret = keys.create("Ann's laptop".replace("'", ""), quota=QuotaSection(queued=3), now=5.0)
    assert secret.startswith("mova_")
    assert keys.find(secret) == made
    assert Keys(keys.path).find(secret) == made
    assert (made.quota.queued, made.created_s, made.is_admin) == (3, 5.0, False)
    assert keys.find(secret[:-1] + "x") is None
    assert keys.find("") is None
    assert keys.has_any()
    keys.revoke(made.id)
    assert keys.find(secret) is None
    assert not keys.has_any()


def test_no_secret_is_kept_and_nobody_else_may_read_the_file(keys):
    _, secret = keys.create("a")
    text = keys.path.read_text()
    assert secret not in text
    assert digest_of(secret) in text
    assert stat.S_IMODE(keys.path.stat().st_mode) == 0o600


def test_keys_that_another_process_makes_are_seen_at_once(keys):
    assert keys.all() == ()
    made, secret = Keys(keys.path).create("b")
    assert keys.find(secret) == made


@pytest.mark.parametrize("name", ["", " a", "x" * 65, "a/b", "a\nb"])
def test_a_name_that_is_none_is_refused(keys, name):
    with pytest.raises(ConfigError, match="name of a key must be"):
        keys.create(name)


def test_a_name_is_taken_once_and_free_again_when_revoked(keys):
    keys.create("a")
    with pytest.raises(ConfigError, match="in use"):
        keys.create("a")
    keys.revoke("a")
    keys.create("a", is_admin=True)
    with pytest.raises(ConfigError, match=r"key must be the name or id of one in use \(a\)"):
        keys.revoke("b")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"keys": 1}',
        '{"keys": [1]}',
        json.dumps({"keys": [{"id": "k", "name": "n", "sha256": "x", "created_s": 1}]}),
        json.dumps({"keys": [{"id": "k", "name": "n", "sha256": "0" * 64, "created_s": 1, "quota": {"x": 1}}]}),
    ],
)
def test_a_damaged_file_lets_nobody_in(keys, content):
    keys.path.parent.mkdir()
    keys.path.write_text(content)
    with pytest.raises(ConfigError):
        keys.all()
    with pytest.raises(ConfigError):
        keys.find("mova_" + "a" * 43)
