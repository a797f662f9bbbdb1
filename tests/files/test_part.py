"""A run of a file's bytes, named as what it is and a path to the whole."""

import os
import pickle
from pathlib import Path

from mova.files.part import FilePart


def test_a_part_names_its_bytes_and_leads_to_its_file(tmp_path):
    part = FilePart(tmp_path / "a.ts", 188, 376, "mpegts")
    assert str(part) == f"{tmp_path / 'a.ts'} (bytes 188 to 376)"
    assert Path(part) == Path(os.fspath(part)) == tmp_path / "a.ts"
    assert pickle.loads(pickle.dumps(part)) == part
