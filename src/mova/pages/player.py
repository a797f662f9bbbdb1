"""The player of a clip: video with its audio, steps by frame, and strips along its time."""

from __future__ import annotations

from mova.pages.html import Content, Html, Url, element
from mova.pages.parts import video_player


def clip_player(
    address: Url, label: str, *, frame_rate: float, strips: Content = None, poster: Url | None = None
) -> Html:
    """Return a player with strips along the clip's time.

    The page's script adds buttons that step by one frame (keys `,` and `.`), says time and frame, moves a cursor over
    the strips and goes to where one is clicked. Without it the video plays as any other.

    Args:
        address: of the file.
        label: what it shows, for screen readers.
        frame_rate: frames per second, for steps.
        strips: of `mova.pages.timeline`.
        poster: an image instead of the first frame.
    """
    return element(
        "div",
        video_player(address, label, poster=poster),
        element("div", strips, class_="strips") if strips is not None else None,
        class_="player",
        data_frame_rate=round(frame_rate, 4),
    )
