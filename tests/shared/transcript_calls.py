"""An endpoint that transcribes, as scorers are told of it."""

import dataclasses
import json

from fake_endpoint import KEY_ENV, sends
from mova.scorers.words.choice import choose_transcriber

PROMPT = 'A man says "Turn left at the next light." A sign reads "STOP".'


def tells(text):
    """A transcript."""
    return sends(json.dumps({"text": text}).encode())


def choice_of(fake, *, speakers=False, **more):
    """Return the choice of a fake endpoint, asked once for each clip."""
    chosen = choose_transcriber(fake.base_url, key_variable=KEY_ENV, speakers=speakers)
    return dataclasses.replace(chosen, attempts=1, **more)
