"""What a page may load and run: Content-Security-Policy for files and for servers, and a server's other headers."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from typing import Final

SECURITY_HEADERS: Final[Mapping[str, str]] = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
"""Headers of every reply of a server of ours, beside its `Content-Security-Policy`."""


def source_hash(text: str) -> str:
    """Return how a policy names an inline style sheet or script: by the digest of its text."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def file_policy(styles: Sequence[str], scripts: Sequence[str]) -> str:
    """Return the policy of a page that is opened as a file, for its `meta` element.

    Nothing is loaded but videos and images beside the page, and nothing runs but what the page was written with. What
    a `meta` element cannot say, such as `frame-ancestors`, is left out.

    Args:
        styles: texts of its style sheets.
        scripts: texts of its scripts.
    """
    return _policy(
        {
            "default-src": ["'none'"],
            "style-src": _hashes(styles),
            "script-src": _hashes(scripts),
            # Browsers do not agree on whether a file is of the same origin as the file beside it.
            "media-src": ["'self'", "file:"],
            "img-src": ["'self'", "file:"],
            "base-uri": ["'none'"],
            "form-action": ["'none'"],
        }
    )


def server_policy(styles: Sequence[str] = (), scripts: Sequence[str] = ()) -> str:
    """Return the value of the header `Content-Security-Policy` for a page that a server gives.

    It may load images and videos from the server, ask the server, and send forms to it; nobody may frame it.

    Args:
        styles: texts of its inline style sheets.
        scripts: texts of its inline scripts.
    """
    return _policy(
        {
            "default-src": ["'none'"],
            "style-src": _hashes(styles),
            "script-src": _hashes(scripts),
            "img-src": ["'self'"],
            "media-src": ["'self'"],
            "connect-src": ["'self'"],
            "base-uri": ["'none'"],
            "form-action": ["'self'"],
            "frame-ancestors": ["'none'"],
        }
    )


def _hashes(texts: Sequence[str]) -> list[str]:
    return [source_hash(text) for text in texts] or ["'none'"]


def _policy(directives: Mapping[str, Sequence[str]]) -> str:
    return "; ".join(f"{name} {' '.join(sources)}" for name, sources in directives.items())
