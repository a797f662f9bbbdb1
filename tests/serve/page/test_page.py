"""The page as a text, and its headers; what it does is tried in a browser: tests/journeys/test_studio_in_browser.py."""

import re

from mova.pages.security import source_hash
from mova.pages.styles import PAGE_STYLE
from mova.serve.page.page import ICON, ICON_PATH, PAGE_HEADERS, page_files, studio_page
from mova.serve.page.script import SCRIPT
from mova.serve.page.style import STUDIO_STYLE
from mova.serve.page.words import WORDS

PAGE = studio_page()


def test_nothing_runs_but_what_the_policy_names():
    policy = PAGE_HEADERS["Content-Security-Policy"]
    for text in (PAGE_STYLE, STUDIO_STYLE, SCRIPT):
        assert source_hash(text) in policy
        assert text in PAGE
    assert PAGE.count("<script") == 1
    assert PAGE.count("<style") == 2
    assert "unsafe" not in policy
    assert "data:" not in policy
    assert "blob:" not in policy
    assert not re.search(
        r" on[a-z]+=| style=", PAGE.replace(SCRIPT, "").replace(PAGE_STYLE, "").replace(STUDIO_STYLE, "")
    )


def test_nothing_comes_from_elsewhere():
    assert "http" not in PAGE.replace("http://www.w3.org/2000/svg", "")
    assert f'href=".{ICON_PATH}"' in PAGE
    assert ICON.startswith("<svg")


def test_the_camera_is_for_the_page_alone():
    assert "camera=(self)" in PAGE_HEADERS["Permissions-Policy"]
    assert "microphone=()" in PAGE_HEADERS["Permissions-Policy"]


def test_every_field_has_a_label_and_every_description_is_there():
    names = re.findall(r' id="([^"]+)"', PAGE)
    assert len(names) == len(set(names))
    for described in re.findall(r'aria-describedby="([^"]+)"', PAGE):
        assert set(described.split()) <= set(names)
    for tag in re.findall(r"<(?:input|select|textarea)[^>]*>", PAGE):
        name = re.search(r' id="([^"]+)"', tag)
        assert " hidden" in tag or "aria-label" in tag or f'for="{name[1]}"' in PAGE or 'type="checkbox"' in tag


def test_every_word_of_the_page_has_both_languages():
    assert set(re.findall(r'data-(?:w|label|placeholder)="([^"]+)"', PAGE)) <= set(WORDS)


def test_the_page_has_its_own_policy_and_the_icon_its_own_type():
    files = page_files()
    assert set(files) == {"/", "/icon.svg"}
    assert "sha256-" in files["/"].headers["Content-Security-Policy"]
    assert files["/"].content.startswith("<!doctype html>")
    assert files["/icon.svg"].kind == "image/svg+xml"
