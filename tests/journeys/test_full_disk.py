"""A disk that is really full ends a run with what to do; with room again it goes on to the same tables."""

import io
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from footage_kit import steady_ticks, write_video
from mova.curate.config.cut import CutSection
from mova.curate.config.source import SourceSection
from mova.curate.cut.listing import list_sources
from mova.curate.cut.stage import CutStage
from mova.curate.executors.local import LocalExecutor
from mova.curate.runner import run_all
from mova.curate.source_table import iter_sources
from mova.curate.tables import iter_clips
from mova.curate.units import Patience
from mova.errors import DataError
from serve_site import PROMPT, served
from shared_curation import Here, toy_run, write_sources

SIZE = 16 * 2**20
ENDS = r"must be writable and have room: .*run the same command again"


@pytest.fixture
def disk(tmp_path):
    """A file system of its own, of 16 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
        made = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        made = False
    if not made:
        pytest.skip("needs the right to mount a file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def leave(disk, free):
    """Fill the disk but for some bytes."""
    (disk / "ballast").unlink(missing_ok=True)
    used = sum(4096 * -(-path.stat().st_size // 4096) for path in disk.rglob("*") if path.is_file())
    (disk / "ballast").write_bytes(bytes(max(0, SIZE - used - free)))


def tables(output):
    return list(iter_sources(output / "sources.parquet")), list(iter_clips(output / "clips.parquet"))


def test_a_disk_that_fills_at_any_place_ends_the_run_and_no_row_is_lost(disk, tmp_path):
    footage = write_sources(tmp_path / "in", 3)
    run_all(toy_run(footage, tmp_path / "plain", executor=Here()))
    ends = []
    # A little more room each time, so that each kind of file is once the one that has none.
    for free in range(8 * 1024, SIZE, 12 * 1024):
        leave(disk, free)
        try:
            run_all(toy_run(footage, disk / "out", executor=Here()))
            break
        except DataError as error:
            ends.append(str(error))
    assert len(ends) > 3
    assert [end for end in ends if "make room and run the same command again" not in end] == []
    assert tables(disk / "out") == tables(tmp_path / "plain")


def test_a_process_that_finds_the_disk_full_ends_the_run(disk, tmp_path):
    footage = write_sources(tmp_path / "in", 6)
    plain = toy_run(footage, tmp_path / "plain", executor=Here())
    run_all(plain)
    leave(disk, 100 * 1024)
    with pytest.raises(DataError, match=ENDS):
        run_all(replace(plain, root=disk / "out", executor=LocalExecutor(1, Patience(3, 0.0))))
    (disk / "ballast").unlink()
    run_all(replace(plain, root=disk / "out"))
    assert tables(disk / "out") == tables(tmp_path / "plain")


def test_a_clip_for_which_there_is_no_room_is_no_bad_clip(disk, tmp_path):
    footage = tmp_path / "films"
    footage.mkdir()
    ticks, base = steady_ticks(24, 4.0)
    noise = np.random.default_rng(0)
    frames = [noise.integers(0, 256, (96, 160, 3), dtype=np.uint8) for _ in ticks]
    audio = noise.normal(0, 0.1, (1, 4 * 48_000)).astype(np.float32)
    write_video(footage / "noise.mp4", frames, ticks, base, audio=audio)
    # Noise without loss takes far more than clips do as a rule: the look at the disk beforehand does not see it coming.
    form = {"num_frames": 33, "width": 160, "height": 96, "preset": "ultrafast", "crf": 1.0, "shots": "none"}
    stage = CutStage(SourceSection(folder=str(footage), keep_free_gib=0.0), CutSection(**form, speech="none"))
    run = replace(
        toy_run(footage, tmp_path / "plain", executor=Here()), sources=lambda: list_sources(stage.source), cut=stage
    )
    run_all(run)
    size = next((tmp_path / "plain").rglob("*.mp4")).stat().st_size
    leave(disk, size + size // 2)
    with pytest.raises(DataError, match=ENDS) as told:
        run_all(replace(run, root=disk / "out"))
    assert "keep_free_gib" not in str(told.value)
    assert not list((disk / "out" / "cut").rglob("*.json"))
    (disk / "ballast").unlink()
    run_all(replace(run, root=disk / "out"))
    assert tables(disk / "out") == tables(tmp_path / "plain")


def test_a_server_whose_disk_is_full_refuses_and_keeps_nothing_of_it(disk):
    with served(disk) as site:
        made = site.create()["id"]
        image = np.random.default_rng(0).integers(0, 256, (600, 600, 3), dtype=np.uint8)
        written = io.BytesIO()
        Image.fromarray(image).save(written, "PNG")
        before = site.files()
        leave(disk, 256 * 1024)
        for _ in range(3):
            reply = site.client.post(
                "/v1/videos", data={"prompt": PROMPT}, files={"image": ("a.png", written.getvalue())}
            )
            assert (reply.status_code, reply.json()["error"]["code"]) == (507, "disk_full")
        assert site.files() == before
        assert site.ask("GET", f"/v1/videos/{made}")["status"] == "queued"
        leave(disk, 0)
        # The database has no room for another row.
        replies = [site.client.post("/v1/videos", json={"prompt": PROMPT}).status_code for _ in range(40)]
        assert set(replies) <= {200, 503}
        assert site.ask("GET", f"/v1/videos/{made}")["id"] == made
        (disk / "ballast").unlink()
        assert site.post(data={"prompt": PROMPT}, files={"image": ("a.png", written.getvalue())})["inputs"] == ["image"]
