"""The script of the page, put together of its parts in the order in which they need each other."""

from __future__ import annotations

from typing import Final

from mova.pages.scripts import PLAYER_SCRIPT
from mova.serve.page.script_base import BASE
from mova.serve.page.script_clip import CLIP
from mova.serve.page.script_enhance import ENHANCE
from mova.serve.page.script_form import FORM
from mova.serve.page.script_image import IMAGE
from mova.serve.page.script_lists import LISTS
from mova.serve.page.script_live import LIVE
from mova.serve.page.script_media import MEDIA
from mova.serve.page.script_sound import SOUND
from mova.serve.page.words import WORDS_SCRIPT
from mova.serve.page.words_server import SERVER_SCRIPT

SCRIPT: Final = "".join(
    (
        '\n"use strict";\n',
        WORDS_SCRIPT,
        PLAYER_SCRIPT,
        BASE,
        SERVER_SCRIPT,
        IMAGE,
        MEDIA,
        FORM,
        ENHANCE,
        SOUND,
        CLIP,
        LISTS,
        LIVE,
    )
)
"""All of it: one inline script, named in the policy of the page by its digest."""
