"""Plain names, and links that lead out of a folder."""

import pytest

from mova.errors import CheckpointError
from mova.files.inside import check_inside, check_plain_name, is_plain_name, leads_out


@pytest.mark.parametrize("name", ["video_dit", "model-00001-of-00002.safetensors", "a", "README.md"])
def test_names_of_files_are_plain(name):
    assert is_plain_name(name)
    assert check_plain_name(name, "here", error=CheckpointError) == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "/etc/passwd", "a/b", "a\\b", "C:x", ".hidden", "a\0", "a\n", "x" * 500, 3, None]
)
def test_names_that_could_reach_another_folder_are_refused(name):
    assert not is_plain_name(name)
    with pytest.raises(CheckpointError, match="here must be a plain name"):
        check_plain_name(name, "here", error=CheckpointError)


def test_links_inside_are_inside_and_links_out_are_named(tmp_path):
    folder, outside = tmp_path / "model", tmp_path / "secret"
    folder.mkdir()
    outside.write_text("key")
    (folder / "a").write_text("1")
    (folder / "b").symlink_to("a")
    (folder / "c").symlink_to(outside)
    (folder / "d").symlink_to("c")
    (folder / "e").symlink_to(tmp_path)
    assert not leads_out(folder / "a", folder)
    assert not leads_out(folder / "b", folder)
    assert not leads_out(folder / "absent", folder)
    for name in ("c", "d", "e/secret"):
        assert leads_out(folder / name, folder)
        with pytest.raises(CheckpointError, match="outside of"):
            check_inside(folder / name, folder, error=CheckpointError)
    (folder / "f").symlink_to("f")
    assert leads_out(folder / "f", folder)
    with pytest.raises(CheckpointError, match="outside of"):
        check_inside(folder / "f", folder, error=CheckpointError)
    (tmp_path / "link").symlink_to(folder)
    assert not leads_out(tmp_path / "link" / "a", tmp_path / "link")


def test_a_snapshot_of_the_hub_reaches_the_blobs_of_its_repository_and_no_others(tmp_path):
    repository = tmp_path / "models--owner--name"
    snapshot = repository / "snapshots" / "0123"
    part = snapshot / "video_dit"
    part.mkdir(parents=True)
    (repository / "blobs").mkdir()
    (repository / "blobs" / "abc").write_text("1")
    (tmp_path / "secret").write_text("2")
    (repository / "blobs" / "bad").symlink_to(tmp_path / "secret")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0123")
    (part / "good").symlink_to("../../../blobs/abc")
    (part / "bad").symlink_to("../../../blobs/bad")
    (part / "ref").symlink_to("../../../refs/main")
    for folder in (snapshot, part):
        assert not leads_out(part / "good", folder)
        assert leads_out(part / "bad", folder)
        assert leads_out(part / "ref", folder)
