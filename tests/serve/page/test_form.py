"""The form as markup; what it does is tried in a browser: test_script_form.py."""

import re

from mova.serve.page.form import making

FORM = making().markup


def test_it_has_one_main_button():
    assert re.findall(r'class="primary"', FORM) == ['class="primary"']
    assert FORM.count('type="submit"') == 1


def test_each_field_has_a_place_for_what_is_wrong_with_it():
    for name in ("prompt", "image", "size", "length", "seed", "variants", "guidance", "modality", "steps", "negative"):
        assert f'id="{name}-error"' in FORM
        assert re.search(rf'id="{name}"[^>]*aria-describedby="[^"]*{name}-error', FORM)


def test_the_browser_leaves_the_checks_to_the_server():
    assert "novalidate" in FORM


def test_no_field_hides_what_a_form_can_do():
    """Elements of a form stand in place of its own properties of their names."""
    names = set(re.findall(r'\bid="([^"]+)"', FORM))
    assert not names & {"reset", "submit", "elements", "action", "method", "name", "target", "requestSubmit"}
