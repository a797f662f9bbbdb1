"""Elements: text of strangers cannot become markup, whatever it is."""

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mova.errors import ConfigError
from mova.pages.html import (
    Html,
    Url,
    clean,
    element,
    fragment,
    joined,
    relative_url,
    stranger,
    verbatim,
    web_url,
)

ATTACKS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</style><svg onload=alert(1)>",
    "<!--",
    "&lt;b&gt;",
    "javascript:alert(1)",
    "\x00<\x1b[2J\u202egpj.exe",
    "\ud800 lone surrogate",
]


class Reader(HTMLParser):
    """What a browser would make of some markup: tags with attributes, and text."""

    def __init__(self, markup):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def handle_comment(self, data):
        raise AssertionError(data)


@pytest.mark.parametrize("text", ATTACKS)
def test_a_strangers_text_stays_text_as_a_child_and_as_an_attribute(text):
    read = Reader(element("p", text, title=text, aria_label=text).markup)
    assert [tag for tag, _ in read.tags] == ["p"]
    assert read.tags[0][1] == {"title": clean(text), "aria-label": clean(text)}
    assert read.text == clean(text)


@given(st.text(st.characters(exclude_categories=()), max_size=60))
def test_any_text_comes_back_as_it_was_but_for_what_is_no_character(text):
    markup = joined(element("b", text), text, stranger(text)).markup
    markup.encode()
    read = Reader(markup)
    assert [tag for tag, _ in read.tags] == ["b", "bdi"]
    assert read.text == clean(text) * 3
    assert clean(clean(text)) == clean(text)


def test_markup_is_no_text_and_text_is_no_markup():
    bold = element("b", "x")
    assert isinstance(bold, Html)
    assert element("p", bold).markup == "<p><b>x</b></p>"
    assert element("p", bold.markup).markup == "<p>&lt;b&gt;x&lt;/b&gt;</p>"
    with pytest.raises(TypeError, match="Html is no text"):
        str(bold)
    with pytest.raises(TypeError, match="Html is no text"):
        f"{bold}"


def test_markup_and_addresses_are_made_by_their_functions_alone():
    with pytest.raises(TypeError, match="Html is made by"):
        Html("<script>", None)
    with pytest.raises(TypeError, match="Url is made by"):
        Url("javascript:alert(1)", object())


def test_children_may_be_numbers_nothing_and_lists():
    assert element("p", 3, None, ["a", [element("br")]], (str(n) for n in range(2))).markup == "<p>3a<br>01</p>"


def test_attributes_are_named_as_in_html():
    made = element("td", class_="number", data_sort=2.5, tabindex=0, hidden=True, title=None, draggable=False)
    assert made.markup == '<td class="number" data-sort="2.5" tabindex="0" hidden></td>'


@pytest.mark.parametrize("name", ["onclick", "style", "srcdoc", "formaction", "a b", "x>", ""])
def test_attributes_that_run_or_load_are_refused(name):
    with pytest.raises(ValueError, match="has no place in a page"):
        element("p", **{name: "x"})


@pytest.mark.parametrize("tag", ["script", "style", "iframe", "object", "p onclick=x", "base"])
def test_tags_that_run_or_load_are_refused(tag):
    with pytest.raises(ValueError, match="tag must be one of"):
        element(tag)


def test_void_elements_hold_nothing():
    with pytest.raises(ValueError, match="br holds nothing"):
        element("br", "x")


def test_an_address_is_made_as_one():
    with pytest.raises(ValueError, match="href must be a Url"):
        element("a", "x", href="javascript:alert(1)")
    with pytest.raises(ValueError, match="title must not be a Url"):
        element("a", "x", title=fragment("x"))
    assert element("a", href=fragment("a b")).markup == '<a href="#a%20b"></a>'
    assert isinstance(fragment("x"), Url)


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("clips/ab/1.mp4", "./clips/ab/1.mp4"),
        ("a b'\"<>#?%.mp4", "./a%20b%27%22%3C%3E%23%3F%25.mp4"),
        ("javascript:alert(1)", "./javascript%3Aalert%281%29"),
        ("ü\udcff.mp4", "./%C3%BC%FF.mp4"),
        ("..mp4", "./..mp4"),
    ],
)
def test_a_path_is_an_address_whatever_it_is_called(path, address):
    assert relative_url(path).text == address


@pytest.mark.parametrize("path", ["", "/etc/passwd", "../x", "a/../../x", "a\0b"])
def test_paths_that_lead_out_are_refused(path):
    with pytest.raises(ConfigError, match="only to files in its own folder"):
        relative_url(path)


def test_links_lead_to_https_alone():
    assert web_url("https://example.org/a b?q=1").text == "https://example.org/a%20b?q=1"
    for address in ("http://example.org", "javascript:alert(1)", "//example.org"):
        with pytest.raises(ConfigError, match="https:// only"):
            web_url(address)


def test_a_long_text_of_a_stranger_is_cut():
    assert stranger("x" * 30, 10).markup == f"<bdi>{'x' * 10} ...</bdi>"


def test_only_a_style_or_a_script_of_ours_stands_as_it_is():
    assert verbatim("style", "a > b {}").markup == "<style>a > b {}</style>"
    for tag, text in (("p", "x"), ("script", "x</script><b>"), ("style", "<!-- x")):
        with pytest.raises(ValueError, match="without an end tag"):
            verbatim(tag, text)
