"""Captions without a model."""

from mova.curate.caption.offline import caption_offline
from mova.scorers.base import Absence, Score
from shared_captions import clip


def texts(record):
    return {name: caption.text for name, caption in caption_offline(record).captions.items()}


def test_a_caption_tells_what_was_found_in_the_order_image_speech_audio():
    record = clip(
        num_frames=193,
        cuts_s=(2.0, 5.0),
        scores={"motion": Score(1.0), "loudness_lufs": Score(-20.0), "text_area": Score(0.0)},
        spans={"speech": ((0.5, 3.2),), "music": ((0.0, 8.04),)},
        tags=("Speech", "Music", "Rain", "music", "Dog"),
    )
    assert texts(record)["merged"] == (
        "3 shots, with cuts at 2.0 s and 5.0 s, in which things move calmly. Someone speaks from 0.5 s to 3.2 s. "
        "The audio features music throughout, rain, dog and a voice, of middling loudness. This video has no subtitles."
    )
    assert caption_offline(record) == caption_offline(record)
    assert {caption.model for caption in caption_offline(record).captions.values()} == {"offline"}


def test_texts_are_quoted_and_then_nothing_is_said_of_missing_ones():
    record = clip(texts=("SALE", "出口"), scores={"text_area": Score(0.05)})
    assert 'On the screen stands "SALE" and "出口".' in texts(record)["visual"]
    assert "subtitles" not in texts(record)["merged"]
    assert "There is text on the screen." in texts(clip(scores={"text_area": Score(0.05)}))["visual"]


def test_what_was_not_measured_is_not_told():
    absent = Score.absent(Absence.PACKAGE)
    bare = clip(spans={}, scores=dict.fromkeys(("speech_share", "text_area", "motion", "loudness_lufs"), absent))
    assert texts(bare) == {
        "visual": "One shot without a cut.",
        "speech": "",
        "audio": "",
        "merged": "One shot without a cut.",
    }


def test_silence_stillness_and_darkness_are_told():
    scores = {"silence_share": Score(1.0), "black_share": Score(0.5), "freeze_share": Score(0.5), "motion": Score(0.0)}
    told = texts(clip(spans={}, scores=scores))
    assert told["audio"] == "The audio is silent."
    assert told["visual"] == (
        "One shot without a cut, in which hardly anything moves. The image is black for a part of the time. "
        "The image stands still for a part of the time."
    )


def test_singing_is_told_apart_from_speech():
    record = clip(num_frames=193, spans={"singing": ((1.0, 2.0),)}, cuts_s=(4.0,), scores={"motion": Score(9.0)})
    told = texts(record)
    assert told["speech"] == "Someone sings from 1.0 s to 2.0 s."
    assert told["visual"] == "2 shots, with a cut at 4.0 s, in which much moves."
