"""The page that raters see: two players, five questions, and not a word about which model made what."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from mova.evaluate.arena.records import Answer, Criterion, Watch
from mova.evaluate.arena.server.script import VOTING_SCRIPT
from mova.evaluate.arena.server.style import VOTING_STYLE
from mova.pages.html import Html, element, fragment, joined, verbatim
from mova.pages.parts import folded, note
from mova.pages.security import server_policy
from mova.pages.styles import PAGE_STYLE

VOTING_POLICY: Final = server_policy([PAGE_STYLE, VOTING_STYLE], [VOTING_SCRIPT])
"""`Content-Security-Policy` of the page."""

CRITERION_TEXTS: Final = {
    Criterion.OVERALL: ("Overall", "Which clip is better?"),
    Criterion.SYNC: ("Sync", "Where do sound and motion fit together in time?"),
    Criterion.AUDIO: ("Audio", "Which one sounds better?"),
    Criterion.VIDEO: ("Video", "Which one looks better?"),
    Criterion.PROMPT: ("Prompt", "Which one shows what was asked for?"),
}
_ANSWERS: Final = {
    Answer.LEFT: "Left",
    Answer.RIGHT: "Right",
    Answer.TIE: "Tie",
    Answer.BOTH_BAD: "Both bad",
}


def voting_page(title: str, watch: Watch) -> str:
    """Return the page as text in UTF-8; it asks the server for everything else.

    Args:
        title: of the arena.
        watch: what becomes of a vote of somebody who has not watched both clips.
    """
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="referrer", content="no-referrer"),
        element("meta", name="robots", content="noindex"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        verbatim("style", PAGE_STYLE),
        verbatim("style", VOTING_STYLE),
    )
    body = element(
        "body",
        element("a", "Skip to the clips", href=fragment("pair"), class_="skip"),
        element(
            "header",
            element("h1", title),
            element("p", "Watch both clips, then say which is better.", id="lead", class_="lead"),
        ),
        element(
            "main",
            element("section", element("p", "One moment.", id="message"), id="apart"),
            element("section", _pair(), id="pair", hidden=True, aria_label="Two clips"),
            data_watch=str(watch),
            id="arena",
        ),
        verbatim("script", VOTING_SCRIPT),
    )
    return f"<!doctype html>\n{element('html', head, body, lang='en').markup}\n"


def _pair() -> Html:
    return joined(
        element(
            "div",
            note(element("span", "Prompt: ", class_="soft"), element("bdi", id="prompt")),
            # A long prompt scrolls, also by keyboard, and leaves the clips where they can be seen.
            class_="asked",
            role="region",
            aria_label="Prompt",
            tabindex="0",
        ),
        element("div", (_player(side) for side in ("left", "right")), class_="players"),
        element(
            "div",
            element("button", "Play both", type="button", id="play"),
            element("button", "Replay", type="button", id="replay"),
            element("button", "Switch sound", type="button", id="switch"),
            element("span", id="heard", class_="soft"),
            class_="controls",
        ),
        element("div", (_question(one) for one in Criterion), class_="questions"),
        element(
            "div",
            element("button", "Send and go on", type="button", id="send", disabled=True),
            element("button", "Skip this pair", type="button", id="skip", hidden=True),
            element("p", id="status", role="status", class_="soft"),
            class_="controls",
        ),
        folded("Keys", element("ul", _keys())),
    )


def _player(side: str) -> Html:
    return element(
        "div",
        element("h2", side.capitalize(), element("span", id=f"{side}-sound", class_="soft")),
        element("video", id=side, preload="auto", playsinline=True, aria_label=f"{side.capitalize()} clip"),
        class_="player",
    )


def _question(criterion: Criterion) -> Html:
    name, text = CRITERION_TEXTS[criterion]
    buttons = (
        element("button", words, type="button", aria_pressed="false", data_answer=str(answer))
        for answer, words in _ANSWERS.items()
    )
    return element(
        "fieldset",
        element("legend", element("strong", name), element("span", text, class_="soft")),
        element("div", buttons, class_="answers"),
        data_criterion=str(criterion),
    )


def _keys() -> Iterator[Html]:
    for keys, meaning in (
        ("Space", "play or pause both"),
        ("R", "replay from the start"),
        ("S", "switch the sound to the other clip"),
        ("Left, Right", "that clip is better; the next question follows"),
        ("T or Down", "tie"),
        ("B or Up", "both bad"),
        ("1 to 5", "go to that question"),
        ("Enter", "send"),
    ):
        yield element("li", element("strong", keys), f": {meaning}")
    yield element(
        "li",
        element("label", element("input", type="checkbox", id="keys", checked=True), " Use these keys"),
    )
