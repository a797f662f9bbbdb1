"""Whole pages."""

from html.parser import HTMLParser

from mova.pages.document import PAGE_HEADER_POLICY, document
from mova.pages.html import element
from mova.pages.scripts import PAGE_SCRIPT
from mova.pages.security import SECURITY_HEADERS, source_hash
from mova.pages.styles import PAGE_STYLE

VOID = {"meta", "br", "img", "link"}


class Nesting(HTMLParser):
    """Every element is closed where it was opened."""

    def __init__(self, page):
        super().__init__()
        self.open, self.seen = [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_a_page_is_well_formed_and_says_its_language_and_policy():
    page = document("<Report>", "lead & more", [("one", "First", element("p", "x"))], top="top", foot="foot")
    read = Nesting(page)
    assert page.startswith("<!doctype html>\n")
    assert read.open == []
    found = dict(reversed(read.seen))
    assert found["html"] == {"lang": "en"}
    assert "&lt;Report&gt;</title>" in page
    policies = [attrs["content"] for tag, attrs in read.seen if attrs.get("http-equiv") == "Content-Security-Policy"]
    assert len(policies) == 1
    assert source_hash(PAGE_STYLE) in policies[0]
    assert source_hash(PAGE_SCRIPT) in policies[0]


def test_sections_are_reached_from_the_top():
    page = document("T", "l", [("one", "First", "x"), ("two", "Second", "y")])
    assert page.count('href="#one"') == page.count('id="one"') == 1
    assert 'href="#contents"' in page
    assert 'id="contents"' in page
    assert "<footer>" not in page


def test_a_server_says_the_same_in_its_headers():
    assert source_hash(PAGE_SCRIPT) in PAGE_HEADER_POLICY
    assert "Content-Security-Policy" not in SECURITY_HEADERS


def test_the_same_contents_make_the_same_page():
    assert len({document("T", "l", [("one", "First", "x")]) for _ in range(2)}) == 1
