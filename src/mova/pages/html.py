"""Elements of a page, escaped where they are made: text of strangers cannot become markup."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape
from typing import Final, TypeAlias
from urllib.parse import quote

from mova.errors import ConfigError
from mova.files.json_file import shorten

_VOID: Final = frozenset({"br", "hr", "img", "input", "link", "meta", "source", "track"})
_TAGS: Final = _VOID | {
    *("html", "head", "title", "body", "header", "nav", "main", "section", "article", "aside", "footer", "div"),
    *("h1", "h2", "h3", "h4", "p", "pre", "ul", "ol", "li", "dl", "dt", "dd", "figure", "figcaption"),
    *("a", "abbr", "b", "bdi", "code", "em", "i", "small", "span", "strong", "sub", "sup", "time", "var"),
    *("table", "caption", "thead", "tbody", "tfoot", "tr", "th", "td", "details", "summary", "video"),
    *("form", "fieldset", "legend", "label", "button", "select", "option", "textarea"),
    *("svg", "g", "rect", "line", "circle", "path", "polyline", "image", "text", "desc"),
}
_URLS: Final = frozenset({"action", "href", "poster", "src"})
# What runs, or loads, or is refused by the policy of our pages anyway.
_REFUSED: Final = frozenset({"style", "srcdoc", "srcset", "formaction", "ping", "background", "data"})
_NAME: Final = re.compile(r"[a-z][a-zA-Z0-9]*(-[a-z0-9]+)*")
# No text means these: what ends a string in some programs, steers a terminal, or shows the letters after it backwards.
_INVISIBLE: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")

_KEY: Final = object()


class Html:
    """Markup that is safe to stand in a page. Only the functions of this module make it.

    It is no `str`: putting it into a text by mistake is an error, and every `str` is escaped.

    Args:
        markup: escaped.
        key: of this module; nobody else has it.

    Raises:
        TypeError: it is made elsewhere.
    """

    __slots__ = ("_markup",)

    def __init__(self, markup: str, key: object) -> None:
        if key is not _KEY:
            raise TypeError("Html is made by element, joined, stranger and verbatim")
        self._markup = markup

    @property
    def markup(self) -> str:
        """The text for a file or a reply."""
        return self._markup

    def __repr__(self) -> str:
        """Return the beginning of it."""
        return f"Html({shorten(self._markup)})"

    def __str__(self) -> str:
        """Refuse: markup in a text would be escaped a second time."""
        raise TypeError("Html is no text; give it to an element as a child, or take its markup")

    def __format__(self, spec: str) -> str:
        """Refuse, as `str` does."""
        return str(self)


class Url:
    """An address that may stand in a link or a player. Only the functions of this module make it.

    Args:
        text: encoded.
        key: of this module; nobody else has it.

    Raises:
        TypeError: it is made elsewhere.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str, key: object) -> None:
        if key is not _KEY:
            raise TypeError("Url is made by relative_url, fragment and web_url")
        self._text = text

    @property
    def text(self) -> str:
        """The address, encoded."""
        return self._text


Content: TypeAlias = "Html | str | int | Iterable[Content] | None"
"""What an element may hold: text and numbers are escaped, None is nothing, of a list each."""
Attribute = str | int | float | bool | Url | None
"""Value of an attribute: True stands alone, False and None are left out."""


def element(tag: str, /, *children: Content, **attributes: Attribute) -> Html:
    """Return an element.

    Args:
        tag: of HTML or SVG; `style` and `script` are made by `verbatim` alone.
        children: what it holds.
        attributes: by name; `class_` for `class`, and underscores for hyphens, as in `aria_label`.

    Raises:
        ValueError: a tag or an attribute that no page of ours has, or an address that is no `Url`.
    """
    if tag not in _TAGS:
        raise ValueError(f"tag must be one of {', '.join(sorted(_TAGS))}; got {shorten(tag)}")
    opening = f"<{tag}{''.join(_attribute(name, value) for name, value in attributes.items())}>"
    if tag in _VOID:
        if children:
            raise ValueError(f"{tag} holds nothing")
        return _made(opening)
    return _made(f"{opening}{_joined(children)}</{tag}>")


def joined(*children: Content) -> Html:
    """Return contents one after the other, without an element around them."""
    return _made(_joined(children))


def stranger(text: str, most: int = 2000) -> Html:
    """Return a text of unknown origin as an element of its own direction, cut after `most` characters."""
    shown = text if len(text) <= most else text[:most] + " ..."
    return element("bdi", shown)


def verbatim(tag: str, text: str) -> Html:
    """Return a style sheet or a script of this package.

    Args:
        tag: "style" or "script".
        text: a constant; nothing that was put together at run time.

    Raises:
        ValueError: another tag, or a text that would end the element.
    """
    if tag not in ("style", "script") or "</" in text or "<!--" in text:
        raise ValueError("only a style or a script without an end tag stands in a page as it is")
    return _made(f"<{tag}>{text}</{tag}>")


def relative_url(path: str) -> Url:
    """Return the address of a file beside the page or below it.

    Args:
        path: relative, with slashes; any characters are allowed in names.

    Raises:
        ConfigError: it is absolute, leads out of the folder, or is empty.
    """
    steps = path.split("/")
    if not path or path.startswith("/") or ".." in steps or "\0" in path:
        raise ConfigError(f"a page links only to files in its own folder, by a relative path; got {shorten(path)}")
    # Names that are no UTF-8 keep their bytes. The dot keeps a colon in the first name from being a scheme.
    return _address("./" + quote(path.encode("utf-8", "surrogateescape"), safe="/"))


def fragment(name: str) -> Url:
    """Return the address of a place in the same page."""
    return _address("#" + quote(name, safe=""))


def web_url(address: str) -> Url:
    """Return an address of the web, for links.

    Raises:
        ConfigError: it does not begin with https://.
    """
    if not address.startswith("https://"):
        raise ConfigError(f"links lead to https:// only, got {shorten(address)}")
    return _address(quote(address, safe=":/?#[]@!$&'()*+,;=%~-._"))


def clean(text: str) -> str:
    """Return a text with what is no character of a text replaced by U+FFFD; line ends stay."""
    return _INVISIBLE.sub("\ufffd", text.replace("\r\n", "\n"))


def _attribute(name: str, value: Attribute) -> str:
    name = name.removesuffix("_").replace("_", "-")
    if not _NAME.fullmatch(name) or name.startswith("on") or name in _REFUSED:
        raise ValueError(f"an attribute {shorten(name)} has no place in a page")
    if isinstance(value, Url) != (name in _URLS) and value not in (None, False):
        raise ValueError(f"{name} must {'' if name in _URLS else 'not '}be a Url, got {shorten(value)}")
    if value is None or value is False:
        return ""
    if value is True:
        return f" {name}"
    text = value.text if isinstance(value, Url) else clean(str(value))
    return f' {name}="{escape(text)}"'


def _joined(children: Iterable[Content]) -> str:
    parts = []
    for child in children:
        if isinstance(child, Html):
            parts.append(child.markup)
        elif isinstance(child, str):
            parts.append(escape(clean(child)))
        elif isinstance(child, int):
            parts.append(str(child))
        elif child is not None:
            parts.append(_joined(child))
    return "".join(parts)


def _made(markup: str) -> Html:
    return Html(markup, _KEY)


def _address(text: str) -> Url:
    return Url(text, _KEY)
