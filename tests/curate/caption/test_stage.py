"""Stage 3 as a stage: picklable, resumable, paid once."""

import json
import pickle
from dataclasses import replace

import pytest

from fake_endpoint import KEY, KEY_ENV, TurnedClock, status
from mova.curate.caption.stage import CaptionStage
from mova.curate.config.caption import CaptionSection
from mova.curate.records import State
from mova.endpoints.records import read_records
from mova.errors import ConfigError, StageError
from shared_captions import clip, plays, section, unit, write_media


@pytest.fixture
def fake(served):
    plays(served)
    return served


@pytest.fixture
def folder(tmp_path):
    write_media(tmp_path / "clips" / "one.mp4")
    return tmp_path


def stage(fake, **more):
    return CaptionStage(section(fake, **more), timing=TurnedClock().timing())


def test_without_endpoints_nothing_is_read_or_written(tmp_path):
    rejected = replace(clip("no"), state=State.REJECTED, reasons=("motion < 1",))
    rows = pickle.loads(pickle.dumps(CaptionStage(CaptionSection()))).run(unit(clip("yes"), rejected), tmp_path)
    assert [row.clip_id for row in rows.clips] == ["yes", "no"]
    assert rows.clips[0].captions["merged"].text
    assert rows.clips[1] == rejected
    assert list(tmp_path.iterdir()) == []


def test_a_unit_that_is_done_twice_is_paid_once(fake, folder):
    first = stage(fake).run(unit(clip("a"), clip("b", path="clips/none.mp4")), folder)
    assert [row.state for row in first.clips] == [State.KEPT, State.FAILED]
    assert len(fake.requests) == 4
    again = pickle.loads(pickle.dumps(CaptionStage(section(fake)))).run(
        unit(clip("a"), clip("b", path="clips/none.mp4")), folder
    )
    assert again == first
    assert len(fake.requests) == 4
    records = list(read_records(folder / "calls" / "unit-1.jsonl"))
    assert [record.cached for record in records] == [False] * 4 + [True] * 4
    assert {record.label for record in records} == {"visual a", "speech a", "audio a", "merge a"}
    assert json.loads((folder / "calls" / "budget" / "spent.json").read_text())["calls"] == 4


def test_a_run_that_ended_goes_on_where_it_was(fake, folder):
    with pytest.raises(StageError, match="budget is spent"):
        stage(fake, budget={"calls": 2}).run(unit(clip()), folder)
    paid = len(fake.requests)
    rows = stage(fake, budget={"calls": 10}).run(unit(clip()), folder)
    assert rows.clips[0].captions["merged"].text
    assert paid == 2
    assert len(fake.requests) <= 5, "at most what was cut off is asked again"


def test_a_unit_of_nothing_asks_for_nothing(fake, folder):
    rejected = replace(clip(), state=State.REJECTED)
    assert stage(fake).run(unit(rejected), folder).clips == (rejected,)
    assert stage(fake).run(unit(), folder).clips == ()
    assert fake.requests == []


def test_a_key_is_nowhere_in_the_folder(fake, folder, monkeypatch):
    monkeypatch.setenv(KEY_ENV, KEY)
    plays(fake, merge=status(500, f"bad {KEY}"))
    keys = {role: {"api_key_env": KEY_ENV} for role in ("visual", "speech", "audio", "merge")}
    held = stage(fake, **keys)
    rows = held.run(unit(clip()), folder)
    assert fake.requests[0][2]["authorization"] == f"Bearer {KEY}"
    files = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    assert all(
        KEY.encode() not in content
        for content in [*files, repr(rows).encode(), pickle.dumps(CaptionStage(section(fake, **keys)))]
    )


def test_it_is_checked_before_the_start(fake, monkeypatch):
    monkeypatch.delenv(KEY_ENV, raising=False)
    CaptionStage(CaptionSection()).check()
    stage(fake).check()
    with pytest.raises(ConfigError, match=KEY_ENV):
        stage(fake, audio={"api_key_env": KEY_ENV}).check()


def test_the_digest_is_of_what_is_asked_and_not_of_where(fake):
    digest = CaptionStage(section(fake)).digest
    same = {"concurrency": 3, "budget": {"calls": 5}, "merge": {"timeout_s": 5, "base_url": "http://other/v1"}}
    assert CaptionStage(section(fake, **same)).digest == digest
    others = [{"merge": {"model": "other"}}, {"visual": {"frames": 3}}, {"audio": {"temperature": 1}}]
    digests = {CaptionStage(section(fake, **other)).digest for other in others}
    digests |= {CaptionStage(CaptionSection()).digest, CaptionStage(section(fake), frame_rate=30).digest}
    assert len(digests - {digest}) == 5


def test_what_it_needs_depends_on_who_writes(fake):
    assert CaptionStage(CaptionSection()).needs.packages == ()
    assert CaptionStage(section(fake)).needs.packages == ("openai", "PIL")
