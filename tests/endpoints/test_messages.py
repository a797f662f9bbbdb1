"""Texts, images and audio in the form of a request."""

import base64
import io
import wave

import numpy as np
import pytest
from PIL import Image as Pillow

from mova.endpoints.messages import Audio, Image, Text, assistant, prompt_sha256, system, tokens_of, user
from mova.endpoints.settings import AudioForm


def test_an_image_is_a_jpeg_of_the_same_colours():
    pixels = np.full((40, 60, 3), (200, 30, 90), np.uint8)
    wire = Image.of(pixels).wire(AudioForm.INPUT_AUDIO)
    head, _, data = wire["image_url"]["url"].partition(",")
    assert (wire["type"], head) == ("image_url", "data:image/jpeg;base64")
    shown = np.asarray(Pillow.open(io.BytesIO(base64.b64decode(data))))
    assert shown.shape == (40, 60, 3)
    assert np.abs(shown.astype(int) - pixels).max() < 8


@pytest.mark.parametrize("form", AudioForm)
def test_audio_is_a_wav_of_the_same_samples(form):
    waveform = np.sin(np.arange(1600) / 10).astype(np.float32)
    wire = Audio.of(waveform, 16000).wire(form)
    data = wire["input_audio"]["data"] if form is AudioForm.INPUT_AUDIO else wire["audio_url"]["url"].partition(",")[2]
    with wave.open(io.BytesIO(base64.b64decode(data))) as wav:
        assert (wav.getframerate(), wav.getnchannels(), wav.getnframes()) == (16000, 1, 1600)
        samples = np.frombuffer(wav.readframes(1600), "<i2") / 32767
    assert np.abs(samples - waveform).max() < 1e-4


def test_audio_beyond_full_scale_is_clipped():
    wav = Audio.of(np.array([-3.0, 3.0], np.float32), 16000).wav
    assert np.frombuffer(wav[-4:], "<i2").tolist() == [-32767, 32767]


def test_a_single_text_is_a_plain_string():
    assert user("hi").wire(AudioForm.INPUT_AUDIO) == {"role": "user", "content": "hi"}
    assert assistant("no").wire(AudioForm.INPUT_AUDIO) == {"role": "assistant", "content": "no"}
    assert len(user("hi", "there").wire(AudioForm.INPUT_AUDIO)["content"]) == 2


def test_tokens_are_estimated_from_what_is_sent():
    image = Image.of(np.zeros((480, 854, 3), np.uint8))
    audio = Audio.of(np.zeros(8 * 16000, np.float32), 16000)
    assert (image.tokens, audio.tokens, Text("word " * 30).tokens) == (522, 105, 51)
    assert tokens_of([system("x" * 30), user(image, image)]) == 11 + 2 * 522 + 16


def test_the_digest_is_of_the_instruction_and_not_of_what_it_is_about():
    assert prompt_sha256([system("a"), user("b")]) == prompt_sha256([system("a"), user("c")])
    assert prompt_sha256([system("a"), user("b")]) != prompt_sha256([system("d"), user("b")])
    assert prompt_sha256([user("b")]) != prompt_sha256([user("c")])
