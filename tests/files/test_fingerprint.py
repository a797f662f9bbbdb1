"""A fingerprint tells files apart by size and by any block that it looks at."""

import hashlib

import pytest

from mova.files.fingerprint import NUM_SAMPLES, SAMPLE_BYTES, add_sampled


def fingerprint(file):
    digest = hashlib.sha256()
    add_sampled(digest, file, file.stat().st_size)
    return digest.hexdigest()


def test_a_small_file_counts_as_a_whole(tmp_path):
    file = tmp_path / "small"
    file.write_bytes(b"abc")
    assert fingerprint(file) == hashlib.sha256(b"abc").hexdigest()


@pytest.mark.parametrize("place", [0, 3 * SAMPLE_BYTES * NUM_SAMPLES - 1])
def test_of_a_large_file_the_first_and_the_last_byte_count(tmp_path, place):
    size = 3 * SAMPLE_BYTES * NUM_SAMPLES
    file, other = tmp_path / "one", tmp_path / "other"
    content = bytearray(size)
    file.write_bytes(content)
    content[place] = 1
    other.write_bytes(content)
    assert fingerprint(file) != fingerprint(other)
    assert fingerprint(file) == fingerprint(file)
