"""Models that learned the toy world get captions that they know."""

from mova.generate.enhance.toyworld import enhance_for_toy_world, toy_scope


def test_only_models_with_the_words_of_the_toy_world_count(tmp_path):
    assert toy_scope("mova-tiny") is not None
    assert toy_scope("OpenMOSS-Team/MOVA-360p") is None
    assert toy_scope(tmp_path) is None
    assert toy_scope("none") is None


def test_a_free_wording_becomes_a_caption_and_a_first_frame_of_the_clips_size():
    scope = toy_scope("mova-tiny")
    found = enhance_for_toy_world("a red ball bounces on wood", scope, size=(64, 96))
    assert not scope.strange_words(found.text)
    assert found.first_frame.shape == (64, 96, 3)
    assert not found.problems
    assert enhance_for_toy_world("a red ball", scope, has_image=True).first_frame is None


def test_a_caption_stays_as_it_is():
    scope = toy_scope("mova-tiny")
    text = enhance_for_toy_world("two balls on a drum", scope).text
    assert enhance_for_toy_world(text, scope).text == text


def test_what_is_no_scene_stays_the_users_own_text_with_a_flag():
    found = enhance_for_toy_world("a city at night", toy_scope("mova-tiny"))
    assert found.is_fallback
    assert found.text == "a city at night"
    assert found.first_frame is None
    assert found.problems
