"""The form of the page: prompt, first image, size and length, and the settings that few need."""

from __future__ import annotations

from mova.pages.html import Content, Html, element
from mova.serve.page.words import ENGLISH, said


def making() -> Html:
    """Return the section in which a clip is described."""
    return element(
        "section",
        said("h2", "make", id="make-heading"),
        element(
            "form",
            _prompt(),
            element("div", id="suggestion", class_="suggestion", hidden=True),
            _image(),
            _media(),
            _size_and_length(),
            _more(),
            element(
                "div",
                said("button", "make_clip", type="submit", id="send", class_="primary"),
                element("p", id="plan", class_="soft"),
                class_="act",
            ),
            element("p", id="form-error", class_="error", hidden=True),
            id="form",
            novalidate=True,
        ),
        id="make",
        aria_labelledby="make-heading",
    )


def _prompt() -> Html:
    return element(
        "div",
        said("label", "prompt", for_="prompt"),
        said("p", "prompt_hint", id="prompt-hint", class_="hint"),
        element("textarea", id="prompt", rows=4, aria_describedby="prompt-hint prompt-note prompt-error"),
        element("div", id="examples", class_="chips"),
        element("p", id="prompt-note", class_="hint warn", hidden=True),
        _error("prompt"),
        element(
            "div",
            said("button", "enhance", type="button", id="enhance"),
            said("button", "undo", type="button", id="undo", hidden=True),
            element("span", id="enhance-state", class_="soft"),
            class_="row",
        ),
        class_="field",
    )


def _image() -> Html:
    return element(
        "fieldset",
        said("legend", "image"),
        element(
            "div",
            element("div", id="image-shown", class_="shown", hidden=True),
            element(
                "div",
                said("p", "image_hint", id="image-hint", class_="hint"),
                element(
                    "div",
                    said("label", "choose", for_="image", class_="button"),
                    element(
                        "input", type="file", id="image", accept="image/*", aria_describedby="image-hint image-error"
                    ),
                    said("button", "camera", type="button", id="camera"),
                    said("button", "remove", type="button", id="image-remove", hidden=True),
                    class_="row",
                ),
                class_="grow",
            ),
            id="drop",
            class_="drop",
        ),
        element("div", id="camera-view", hidden=True),
        _error("image"),
        class_="field",
    )


def _media() -> Html:
    return element(
        "details",
        said("summary", "media"),
        element(
            "fieldset",
            said("legend", "last_image"),
            said("p", "last_image_hint", id="last-image-hint", class_="hint"),
            element("div", id="last-image-shown", class_="shown", hidden=True),
            _file("last-image", "image/*"),
            class_="field",
        ),
        _rows("keyframes", "keyframe"),
        _rows("prompt-at", "prompt-at"),
        _own("video"),
        _own("audio"),
        element(
            "div",
            said("label", "start", for_="start"),
            element("input", id="start", type="number", min="0", step="any", aria_describedby="start-hint start-error"),
            said("p", "start_hint", id="start-hint", class_="hint"),
            _error("start"),
            id="start-field",
            class_="field",
            hidden=True,
        ),
        _choice("fit"),
        id="media",
    )


def _rows(name: str, one: str) -> Html:
    """Return a list to which the script adds rows, each with a second of the clip."""
    key, add = name.replace("-", "_"), f"{one}-add"
    return element(
        "fieldset",
        said("legend", key),
        said("p", f"{key}_hint", id=f"{name}-hint", class_="hint"),
        element("div", id=name, class_="moments"),
        element("div", said("button", add.replace("-", "_"), type="button", id=add, aria_describedby=f"{name}-hint")),
        _error(name),
        class_="field",
    )


def _choice(name: str) -> Html:
    """Return a choice with a line of help, whose options the script fills in."""
    return element(
        "div",
        said("label", name, for_=name),
        element("select", id=name, aria_describedby=f"{name}-hint {name}-error"),
        said("p", f"{name}_hint", id=f"{name}-hint", class_="hint"),
        _error(name),
        class_="field",
    )


def _own(kind: str) -> Html:
    return element(
        "fieldset",
        said("legend", f"own_{kind}"),
        said("p", f"own_{kind}_hint", id=f"{kind}-file-hint", class_="hint"),
        element("p", id=f"{kind}-file-name", class_="chosen"),
        _file(f"{kind}-file", f"{kind}/*"),
        class_="field",
    )


def _file(name: str, accept: str) -> Html:
    return element(
        "div",
        element(
            "div",
            said("label", "choose", for_=name, class_="button"),
            element("input", type="file", id=name, accept=accept, aria_describedby=f"{name}-hint {name}-error"),
            said("button", "remove", type="button", id=f"{name}-remove", hidden=True),
            class_="row",
        ),
        _error(name),
    )


def _size_and_length() -> Html:
    return element(
        "div",
        element(
            "div",
            said("label", "size", for_="size"),
            element("select", id="size", aria_describedby="size-error"),
            element(
                "input",
                id="size-other",
                type="text",
                hidden=True,
                aria_describedby="size-error",
                **_label("size_other"),
            ),
            _error("size"),
            class_="field",
        ),
        element(
            "div",
            said("label", "length", for_="length"),
            element("select", id="length", aria_describedby="length-error"),
            element(
                "input",
                id="length-other",
                type="number",
                min="0",
                step="any",
                hidden=True,
                aria_describedby="length-error",
                **_label("length_other"),
            ),
            _error("length"),
            class_="field",
        ),
        class_="pair",
    )


def _more() -> Html:
    return element(
        "details",
        said("summary", "more"),
        element(
            "div",
            element(
                "div",
                said("label", "seed", for_="seed"),
                element(
                    "input", id="seed", inputmode="numeric", autocomplete="off", aria_describedby="seed-hint seed-error"
                ),
                said("p", "seed_hint", id="seed-hint", class_="hint"),
                _error("seed"),
                class_="field",
            ),
            element(
                "div",
                said("label", "variants", for_="variants"),
                element("select", id="variants", aria_describedby="variants-error"),
                _error("variants"),
                class_="field",
            ),
            class_="pair",
        ),
        _choice("only"),
        _slider("guidance"),
        _slider("modality"),
        _slider("steps"),
        element(
            "div",
            said("label", "speed", for_="speed"),
            element("select", id="speed", aria_describedby="speed-error"),
            _error("speed"),
            class_="field",
            id="speed-field",
        ),
        element(
            "div",
            said("label", "negative", for_="negative"),
            element("textarea", id="negative", rows=2, aria_describedby="negative-hint negative-error"),
            said("p", "negative_hint", id="negative-hint", class_="hint"),
            _error("negative"),
            class_="field",
        ),
        element(
            "p",
            element("label", element("input", type="checkbox", id="first"), said("span", "improve_first")),
            id="first-field",
        ),
        element("p", element("label", element("input", type="checkbox", id="hold"), said("span", "hold_it"))),
        element("p", said("button", "reset", type="button", id="reset-form")),
        id="more",
    )


def _slider(name: str) -> Html:
    return element(
        "div",
        element(
            "div", said("label", name, for_=name), element("span", id=f"{name}-value", class_="value"), class_="between"
        ),
        element("input", type="range", id=name, aria_describedby=f"{name}-hint {name}-error"),
        said("p", f"{name}_hint", id=f"{name}-hint", class_="hint"),
        _error(name),
        class_="field",
    )


def _error(name: str) -> Content:
    return element("p", id=f"{name}-error", class_="error", hidden=True)


def _label(key: str) -> dict[str, str]:
    return {"aria_label": ENGLISH[key], "data_label": key}
