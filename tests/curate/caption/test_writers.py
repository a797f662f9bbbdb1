"""The calls of a clip, over the wire."""

import asyncio
import json

import numpy as np
import pytest

from fake_endpoint import TurnedClock, says
from mova.curate.caption.instructions import MERGE, SPEECH, VISUAL
from mova.curate.caption.media import Shown
from mova.curate.caption.reports import Utterance
from mova.curate.caption.writers import Parts, write_audio, write_merged, write_speech, write_visual
from mova.endpoints.client import Client, Shared
from mova.endpoints.messages import Audio, Image
from mova.endpoints.outcomes import Outcome
from shared_captions import HEARD, SEEN, WORDS, merged, plays, section, speech, visual

IMAGE = Image.of(np.zeros((32, 48, 3), np.uint8))
AUDIO = Audio.of(np.zeros(1600, np.float32), 16000)
SHOWN = Shown((IMAGE, IMAGE), (0.0, 0.5), AUDIO, 1.0)
SAID = Utterance(speaker="a man", language="German", delivery="calm", words=WORDS)
QUOTED = WORDS.replace("“", "").replace("”", "")


@pytest.fixture
def fake(served):
    plays(served)
    return served


def call(fake, role, act):
    async def main():
        async with Client(getattr(section(fake), role), Shared(timing=TurnedClock().timing())) as client:
            return await act(client)

    return asyncio.run(main())


def body(fake, number=0):
    return fake.requests[number][1]


def test_the_frames_are_sent_with_their_times(fake):
    answer = call(fake, "visual", lambda client: write_visual(client, SHOWN, "visual one"))
    assert answer.value.video_visual_report.visual_description == SEEN
    told, asked = body(fake)["messages"]
    assert told == {"role": "system", "content": VISUAL}
    assert [part["type"] for part in asked["content"]] == ["text", "image_url", "image_url"]
    assert "0.0 s, 0.5 s" in asked["content"][0]["text"]


def test_the_audio_is_sent_for_what_is_said(fake):
    answer = call(fake, "speech", lambda client: write_speech(client, AUDIO, 1.0, "speech one"))
    assert [said.words for said in answer.value.speech_transcription_report.utterances] == [WORDS]
    told, asked = body(fake)["messages"]
    assert told["content"] == SPEECH
    assert [part["type"] for part in asked["content"]] == ["text", "input_audio"]


@pytest.mark.parametrize(("request_text", "kinds"), [("Tell.", ["text", "input_audio"]), ("", ["input_audio"])])
def test_a_model_that_takes_audio_alone_gets_audio_alone(fake, request_text, kinds):
    reply = call(fake, "audio", lambda client: write_audio(client, AUDIO, request_text, "audio one"))
    assert reply.text == HEARD
    (asked,) = body(fake)["messages"]
    assert [part["type"] for part in asked["content"]] == kinds


@pytest.mark.parametrize(
    "text", ["I’m sorry, but I can't help with that.", "I cannot describe this.", "抱歉，我无法回答。"]
)
def test_a_refusal_in_plain_words_is_no_caption(fake, text):
    plays(fake, audio=says(text))
    reply = call(fake, "audio", lambda client: write_audio(client, AUDIO, "", ""))
    assert (reply.outcome, reply.text) == (Outcome.REFUSED, "")


def merge(fake, parts):
    return call(fake, "merge", lambda client: write_merged(client, parts, "merge one"))


def test_the_reports_are_merged(fake):
    answer = merge(fake, Parts(SEEN, (), (SAID,), HEARD))
    assert f'"{QUOTED}"' in answer.value.merged_caption
    told, asked = body(fake)["messages"]
    assert told["content"] == MERGE
    sent = json.loads(asked["content"])
    assert sent["speech_description"][0]["words"] == WORDS
    assert WORDS in asked["content"] or json.dumps(WORDS, ensure_ascii=False)[1:-1] in asked["content"]
    assert (sent["video_description"], sent["on_screen_text"], sent["audio_description"]) == (SEEN, None, HEARD)


def test_a_caption_that_misquotes_is_written_anew_once(fake):
    plays(fake, merge=[merged("Good day, hello, I do not know"), merged(QUOTED)])
    answer = merge(fake, Parts(SEEN, (), (SAID,), HEARD))
    assert f'"{QUOTED}"' in answer.value.merged_caption
    assert answer.reply.usage.tokens_in == 200
    assert len(fake.requests) == 2
    assert WORDS in body(fake, 1)["messages"][-1]["content"]


@pytest.mark.parametrize("wrong", [merged("Something else"), merged(QUOTED, "An invented answer"), merged()])
def test_a_caption_that_misquotes_twice_is_none(fake, wrong):
    plays(fake, merge=wrong)
    answer = merge(fake, Parts(SEEN, (), (SAID,), HEARD))
    assert (answer.value, answer.reply.outcome) == (None, Outcome.INVALID)
    assert len(fake.requests) == 2


def test_texts_on_the_screen_may_be_quoted(fake):
    plays(fake, merge=merged(start='A sign says "出口".'))
    assert merge(fake, Parts(SEEN, ("出口",), (), HEARD)).value is not None


def test_a_form_is_repaired_before_words_are(fake):
    plays(fake, merge=[says("Here it comes:"), merged("wrong"), merged(QUOTED)])
    assert merge(fake, Parts(SEEN, (), (SAID,), HEARD)).value is not None
    assert len(fake.requests) == 3


@pytest.mark.parametrize("bad", [visual("x" * 30_000), speech(""), says("[]")])
def test_a_report_of_no_form_is_invalid(fake, bad):
    plays(fake, visual=bad)
    answer = call(fake, "visual", lambda client: write_visual(client, SHOWN, ""))
    assert (answer.value, answer.reply.outcome) == (None, Outcome.INVALID)
