"""Waveform and spectrogram that the browser draws."""

import pytest

from studio_kit import opened

pytestmark = pytest.mark.services

TONE = "Float32Array.from({length: 48000}, (_, place) => 0.5 * Math.sin(2 * Math.PI * 1000 * place / 48000))"


def test_a_tone_is_a_line_at_its_frequency(visit, quick):
    page = opened(visit, quick).page
    row = page.evaluate(
        f"""() => {{
          const canvas = spectrum({TONE}, 48000);
          const pixels = canvas.getContext("2d").getImageData(240, 0, 1, canvas.height).data;
          let best = 0;
          for (let place = 0; place < canvas.height; place += 1) if (pixels[4 * place] > pixels[4 * best]) best = place;
          return best;
        }}"""
    )
    # Logarithmic from 50 Hz below to 24 kHz above, in 96 rows.
    assert 50 * (24000 / 50) ** (1 - row / 95) == pytest.approx(1000, rel=0.08)


def test_the_outline_is_as_high_as_the_sound(visit, quick):
    page = opened(visit, quick).page
    heights = page.evaluate(f"outline({TONE}).match(/ [0-9.]+(?= L|Z)/g).map(Number)")
    # Half of full scale around the middle of 48.
    assert min(heights) == pytest.approx(12, abs=0.5)
    assert max(heights) == pytest.approx(36.4, abs=0.5)


def test_silence_has_an_outline_too(visit, quick):
    page = opened(visit, quick).page
    assert page.evaluate("outline(new Float32Array(100))").startswith("M")
    assert page.evaluate("spectrum(new Float32Array(100), 8000).width") == 480
