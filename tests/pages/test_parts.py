"""Small parts."""

from mova.pages.html import element, relative_url
from mova.pages.parts import Tone, badge, facts, folded, note, section, tile, video_player


def test_a_section_is_named_by_its_heading():
    assert section("counts", "A & B", "text").markup == (
        '<section id="counts" aria-labelledby="counts-heading"><h2 id="counts-heading">A &amp; B</h2>text</section>'
    )


def test_a_badge_has_a_tone_and_a_text():
    assert badge("kept", Tone.GOOD).markup == '<span class="badge good">kept</span>'


def test_facts_are_names_with_what_they_are():
    made = facts([("mova", "0.1"), ("x", element("b", "y"))]).markup
    assert "<div><dt>mova</dt><dd>0.1</dd></div>" in made
    assert "<dd><b>y</b></dd>" in made


def test_a_note_a_tile_and_what_folds():
    assert note("x", tone=Tone.BAD).markup == '<p class="note bad">x</p>'
    assert "<strong>5 h</strong>" in tile("5 h", "Footage", "3 sources").markup
    assert folded("more", "x").markup == "<details><summary>more</summary>x</details>"
    assert "<details open>" in folded("more", "x", is_open=True).markup


def test_a_player_has_controls_and_a_name_and_does_not_load_all_of_it():
    made = video_player(relative_url("clips/a.mp4"), 'a "clip"', poster=relative_url("a.png")).markup
    assert 'src="./clips/a.mp4" controls preload="metadata"' in made
    assert 'aria-label="a &quot;clip&quot;"' in made
    assert 'poster="./a.png"' in made
    assert "autoplay" not in made
