"""Texts of any editor are read, and what is none is refused in one line."""

import pytest

from mova.errors import ConfigError
from mova.files.text_file import read_text

WHAT = "prompts must be a text file"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_any_form_of_unicode_is_read(tmp_path, encoding):
    file = tmp_path / "prompts.txt"
    file.write_bytes("红色的球\r\n".encode(encoding))
    assert read_text(file, WHAT, error=ConfigError, most_bytes=100) == "红色的球\r\n"


def test_other_encodings_large_and_missing_files_are_named(tmp_path):
    file = tmp_path / "prompts.txt"
    file.write_bytes("Geräusch".encode("latin-1"))
    with pytest.raises(ConfigError, match="no UTF-8 from byte 3 on; save it as UTF-8"):
        read_text(file, WHAT, error=ConfigError, most_bytes=100)
    with pytest.raises(ConfigError, match="at most 4 bytes"):
        read_text(file, WHAT, error=ConfigError, most_bytes=4)
    with pytest.raises(ConfigError, match="must be a text file that can be read, got "):
        read_text(tmp_path / "none", WHAT, error=ConfigError, most_bytes=4)
