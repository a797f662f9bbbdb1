"""What a run will take follows from the footage's length and from what is kept of it."""

import pytest

from footage_kit import shots, steady_ticks, write_video
from mova.curate.config.recipe import CurateConfig
from mova.curate.dry_run import plan_curation
from mova.curate.records import SourceRecord
from mova.errors import DataError


@pytest.fixture(scope="module")
def footage(tmp_path_factory):
    folder = tmp_path_factory.mktemp("footage")
    ticks, base = steady_ticks(24, 6.0)
    write_video(folder / "a.mp4", shots(6.0, [3.0], size=(64, 96)), ticks, base)
    (folder / "b.mp4").write_bytes(b"no video")
    return folder


def config(footage, tmp_path, **sections):
    cut = {"num_frames": 25, "width": 96, "height": 64}
    return CurateConfig.model_validate(
        {"source": {"folder": str(footage)}, "output": {"folder": str(tmp_path / "deep" / "out")}, "cut": cut}
        | sections
    )


def listed(footage):
    return [SourceRecord("", str(path), "", path.stat().st_size) for path in sorted(footage.iterdir())]


def test_hours_and_clips_follow_from_what_the_files_say(footage, tmp_path):
    plan = plan_curation(config(footage, tmp_path), listed(footage))
    assert (plan.sources, plan.looked_at, plan.unreadable, plan.measured) == (2, 2, 1, False)
    assert plan.hours == pytest.approx(6.0 / 3600, rel=0.02)
    assert plan.clips == round(6.0 * 0.8457 / (25 / 24))
    assert plan.kept == round(plan.clips * 0.2639 / 0.8457)
    assert (plan.calls, plan.tokens) == (0, 0)
    assert plan.disk_bytes > 0
    assert plan.free_bytes > 0
    assert not (tmp_path / "deep").exists()


def test_what_cannot_be_read_is_named_so_that_no_name_steers_a_terminal(footage, tmp_path):
    bad = [SourceRecord("", str(footage / name), "", 8) for name in ("b.mp4", "gone\x1b[2J\n.mp4", *"cdefg")]
    lines = plan_curation(config(footage, tmp_path), [*listed(footage)[:1], *bad]).lines()
    assert lines[0].startswith("footage: 8 sources, ")
    assert lines[1].startswith(f"unreadable: 7 of 8: '{footage}/b.mp4', ")
    assert lines[1].endswith(" and 2 more")
    assert all(line.isprintable() for line in lines)
    alone = plan_curation(config(footage, tmp_path), listed(footage)[:1])
    assert alone.lines()[0].startswith("footage: 1 source, ")


def test_many_sources_are_judged_by_a_sample(footage, tmp_path, monkeypatch):
    monkeypatch.setattr("mova.curate.dry_run.MOST_LOOKED_AT", 3)
    path = footage / "a.mp4"
    many = [SourceRecord("", str(path), "", path.stat().st_size)] * 40
    plan = plan_curation(config(footage, tmp_path), many)
    assert (plan.sources, plan.looked_at) == (40, 3)
    assert plan.hours == pytest.approx(40 * 6.0 / 3600, rel=0.02)
    assert ", by a sample of 3" in plan.lines()[0]
    limited = plan_curation(config(footage, tmp_path), many, limit=10)
    assert (limited.sources, limited.looked_at) == (10, 3)


def test_endpoints_and_shards_are_counted(footage, tmp_path):
    path = footage / "a.mp4"
    many = [SourceRecord("", str(path), "", path.stat().st_size)] * 10
    roles = {role: {"base_url": "http://127.0.0.1:9/v1"} for role in ("visual", "speech", "audio", "merge")}
    asked = config(footage, tmp_path, caption={"captioner": "endpoints", **roles}, export={})
    plain, paid = plan_curation(config(footage, tmp_path), many), plan_curation(asked, many)
    assert paid.calls == 4 * paid.kept > 0
    assert paid.tokens > 0
    assert paid.disk_bytes > plain.disk_bytes


def test_no_source_is_an_error(footage, tmp_path):
    with pytest.raises(DataError, match="at least one source"):
        plan_curation(config(footage, tmp_path), [])


def test_without_gates_all_clips_are_kept_and_short_footage_is_told_in_seconds(footage, tmp_path):
    plan = plan_curation(config(footage, tmp_path, verdicts={"preset": "none", "gates": []}), listed(footage))
    assert plan.kept == plan.clips > 0
    assert ", 6.0 seconds" in plan.lines()[0]
