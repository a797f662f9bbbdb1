"""What a server refuses, in the words of HTTP and of whoever asked."""

from __future__ import annotations

from mova.errors import MovaError


class RefusedError(MovaError):
    """A request that is refused.

    Args:
        status: of HTTP.
        code: what it is, for programs.
        text: what it is, for people.
        retry_s: after how many seconds it may be tried again; 0 for never.
    """

    def __init__(self, status: int, code: str, text: str, retry_s: float = 0.0) -> None:
        super().__init__(text)
        self.status, self.code, self.text, self.retry_s = status, code, text, retry_s
