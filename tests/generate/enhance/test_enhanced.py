"""The record of an enhancement comes back from a clip's file."""

import pytest

from mova.errors import ConfigError
from mova.files.json_file import Fields
from mova.generate.enhance.enhanced import Enhanced, EnhancementRecord, check_text


def test_a_record_comes_back():
    record = Enhanced("b", "a", problems=("p",), is_fallback=True, provider="h", model="m").record()
    assert EnhancementRecord.read(Fields(record.to_dict(), "here", ConfigError)) == record
    with pytest.raises(ConfigError):
        EnhancementRecord.read(Fields({"original": 3}, "here", ConfigError))


def test_texts_lose_what_files_cannot_hold():
    assert check_text(" a\x00b\ud800\n「c」 ") == "ab\n「c」"
