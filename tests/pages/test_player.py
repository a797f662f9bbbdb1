"""The player; what its script does is tried in a browser: tests/journeys/test_evaluation_in_browser.py."""

from mova.pages.html import element, relative_url
from mova.pages.player import clip_player


def test_a_player_knows_its_frame_rate_and_holds_its_strips():
    made = clip_player(relative_url("a.mp4"), "a clip", frame_rate=24.0, strips=element("p", "strip")).markup
    assert made.startswith('<div class="player" data-frame-rate="24.0"><video src="./a.mp4"')
    assert '<div class="strips"><p>strip</p></div>' in made
    assert "strips" not in clip_player(relative_url("a.mp4"), "a clip", frame_rate=24.0).markup
