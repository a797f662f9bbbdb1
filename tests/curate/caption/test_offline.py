"""Captions without a model."""

import itertools

from mova.curate.caption.offline import caption_offline
from mova.curate.config.recipe import load_curation
from mova.names import SHIPPED_MODELS
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


EVERYTHING = {
    "cuts_s": (0.5, 1.0, 1.5, 5.0),
    "scores": {
        "motion": Score(0.1),
        "loudness_lufs": Score(-20.0),
        "text_area": Score(0.0),
        "black_share": Score(0.5),
        "freeze_share": Score(0.5),
    },
    "spans": {"speech": ((0.5, 3.2), (4.0, 5.0)), "singing": ((6.0, 7.0),), "music": ((0.0, 3.0),)},
    "tags": ("Rain", "Dog", "Wind", "Bell"),
}


def bounded(most_chars, **values):
    record = clip(num_frames=193, **{**EVERYTHING, **values})
    return caption_offline(record, most_chars=most_chars).captions


def test_where_there_is_little_room_what_matters_least_is_left_out_and_the_order_stays():
    whole = bounded(None)["merged"].text
    assert bounded(len(whole)) == bounded(None)
    assert bounded(115)["merged"].text == (
        "5 shots, in which hardly anything moves. Someone speaks. Someone sings. "
        "The audio features music, rain and dog."
    )
    assert bounded(60)["merged"].text == "5 shots, in which hardly anything moves. Someone speaks."
    assert bounded(60)["speech"] == bounded(None)["speech"], "parts are whole"
    assert bounded(112, cuts_s=(), tags=(), spans={"speech": ((0.0, 8.1),)})["merged"].text == (
        "One shot without a cut, in which hardly anything moves. Someone speaks throughout. "
        "This video has no subtitles."
    )


def test_no_caption_is_longer_than_its_bound_or_empty():
    for most_chars in range(60, 500, 7):
        for texts in ((), ("SALE",), ("x" * 200,)):
            told = bounded(most_chars, texts=texts)["merged"].text
            assert 0 < len(told) <= most_chars


def test_the_shipped_model_reads_what_the_recipe_small_says():
    from transformers import AutoTokenizer

    section = load_curation("small").caption
    tokenizer = AutoTokenizer.from_pretrained(SHIPPED_MODELS / "mova-tiny" / "tokenizer")
    motions, tags = (0.1, 1.0, 9.0), ((), ("Rain", "Dog"), ("Environmental noise", "Emergency vehicle"))
    for motion, heard, cuts_s in itertools.product(motions, tags, ((), (1.0,), (1.0, 2.0))):
        for texts, spans in itertools.product(((), ("SALE",)), ({}, EVERYTHING["spans"], {"speech": ((0.0, 8.1),)})):
            scores = EVERYTHING["scores"] | {"motion": Score(motion)}
            more = {"scores": scores, "tags": heard, "cuts_s": cuts_s, "texts": texts, "spans": spans}
            told = bounded(section.most_chars, **more)["merged"].text
            assert len(tokenizer(told).input_ids) <= 96, told
