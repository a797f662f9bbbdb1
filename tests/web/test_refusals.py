"""What a server refuses."""

from mova.errors import MovaError
from mova.web.refusals import RefusedError


def test_a_refusal_says_its_text_and_when_to_come_back():
    refusal = RefusedError(429, "too_many", "Please wait.", 2.0)
    assert isinstance(refusal, MovaError)
    assert (str(refusal), refusal.status, refusal.code, refusal.retry_s) == ("Please wait.", 429, "too_many", 2.0)
