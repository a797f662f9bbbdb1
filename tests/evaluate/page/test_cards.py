"""Cards of clips: text of strangers stays text."""

import numpy as np

from mova.evaluate.page.cards import clip_card
from mova.evaluate.page.shown import ShownClip
from mova.evaluate.results.rows import ClipRow
from mova.scorers.base import Trace

TRACE = Trace("motion (px)", 0.5, np.asarray([0.0, 1.0], np.float32), (0.5,))
SHOWN = ShownClip(0, "shown/0.mp4", 24.0, 1.0, np.zeros(100, np.float32), "shown/0.png", (TRACE,))


def test_a_clip_plays_beside_its_scores_and_curves():
    row = ClipRow("a", "a.mp4", "a dog", "dogs", {"av_align": 0.5}, {"desync": "skipped: weights"}, ("bark",))
    made = clip_card(row, SHOWN).markup
    for part in ("./shown/0.mp4", "./shown/0.png", "Waveform of", "motion (px): 0 to 1", "av_align", "0.5", "bark"):
        assert part in made
    assert "Not scored: 1 measures" in made


def test_markup_in_names_and_prompts_is_shown_as_text():
    evil = "<script>alert(1)</script>"
    made = clip_card(ClipRow(evil, "a.mp4", evil * 20, evil, {}, {"x": evil}, (evil,)), SHOWN).markup
    assert "<script" not in made
    assert "&lt;script&gt;" in made
