"""Media from addresses in requests: only where the settings allow it, and never from a private address.

A name is resolved once and the connection goes to the address that was looked at, so that a name that changes its mind
in between (DNS rebinding) gains nothing; every redirect is looked at anew.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urljoin, urlsplit

from mova.serve.faults import FieldError
from mova.serve.settings import FetchSection

_CHUNK: Final = 64 * 1024
_REDIRECTS: Final = (301, 302, 303, 307, 308)
_LONGEST: Final = 4000


def is_public(address: str) -> bool:
    """Say whether an address belongs to the open network: not to this machine, its network, or to several receivers."""
    found: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
        if inner is not None:
            return is_public(str(inner))
        # NAT64 leads to addresses of IPv4.
        if found in ipaddress.ip_network("64:ff9b::/96"):
            return is_public(str(ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)))
    return found.is_global and not found.is_multicast


def fetch(
    url: str,
    target: Path,
    settings: FetchSection,
    most_bytes: int,
    *,
    is_allowed: Callable[[str], bool] = is_public,
) -> None:
    """Write what is at an address into a file.

    Args:
        url: http or https.
        target: to write.
        settings: whether and for how long.
        most_bytes: that it may have.
        is_allowed: says of an address whether it may be asked.

    Raises:
        FieldError: fetching is off; an address that is not allowed; no answer, another status, too much or too slow.
    """
    if not settings.enabled:
        text = "media must be sent as a file or a data URL: this server fetches no addresses"
        raise FieldError(text, code="no_fetch")
    until_s = time.monotonic() + settings.limit_s
    for _ in range(settings.redirects + 1):
        further = _fetch_once(_checked(url), target, until_s, most_bytes, is_allowed)
        if further is None:
            return
        url = urljoin(url, further)
    raise FieldError(f"an address must lead to media within {settings.redirects} redirects", code="fetch_failed")


def _checked(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise FieldError("an address must be a URL of http or https", code="fetch_refused") from None
    is_plain = url.isascii() and url.isprintable() and " " not in url and len(url) <= _LONGEST
    if parts.scheme not in ("http", "https") or not parts.hostname or not is_plain or port == 0:
        raise FieldError("an address must be a URL of http or https that names a host", code="fetch_refused")
    if parts.username is not None or parts.password is not None:
        raise FieldError("an address must hold neither user nor password", code="fetch_refused")
    return parts


def _fetch_once(
    parts: SplitResult, target: Path, until_s: float, most_bytes: int, is_allowed: Callable[[str], bool]
) -> str | None:
    """Fetch an address; return where it redirects to, None once it is in the file."""
    address = _resolve(parts, is_allowed)
    connection: _Connection | None = None
    watch: threading.Timer | None = None
    try:
        connection = _Connection(parts, address, _left(until_s))
        # A timeout of a socket begins anew with every byte.
        watch = threading.Timer(_left(until_s), connection.abort)
        watch.start()
        path = parts.path or "/"
        connection.request("GET", f"{path}?{parts.query}" if parts.query else path, headers={"User-Agent": "mova"})
        with connection.getresponse() as reply:
            if reply.status in _REDIRECTS and (further := reply.getheader("Location")):
                return further
            if reply.status != 200:
                raise FieldError(f"an address must answer with status 200, got {reply.status}", code="fetch_failed")
            _write(reply, target, most_bytes)
        if connection.is_aborted:
            raise TimeoutError
        return None
    except (OSError, http.client.HTTPException, UnicodeError, ValueError) as error:
        is_late = isinstance(error, TimeoutError) or (connection is not None and connection.is_aborted)
        kind = "it took too long" if is_late else type(error).__name__
        raise FieldError(f"an address must answer with media, got none: {kind}", code="fetch_failed") from None
    finally:
        if watch is not None:
            watch.cancel()
        if connection is not None:
            connection.close()


def _write(reply: http.client.HTTPResponse, target: Path, most_bytes: int) -> None:
    read = 0
    with target.open("wb") as file:
        while part := reply.read1(_CHUNK):
            read += len(part)
            if read > most_bytes:
                raise FieldError(f"media must have at most {most_bytes} bytes, got more", code="too_large")
            file.write(part)


def _resolve(parts: SplitResult, is_allowed: Callable[[str], bool]) -> str:
    host, port = str(parts.hostname), parts.port or (443 if parts.scheme == "https" else 80)
    try:
        found = [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError):
        raise FieldError("the host of an address must be known, and is not", code="fetch_failed") from None
    # One that is private beside others that are not is a trap.
    if not found or not all(is_allowed(address) for address in found):
        raise FieldError("an address must be in the open network, got one of a private network", code="fetch_refused")
    return found[0]


class _Connection(http.client.HTTPConnection):
    """A connection to the address that was looked at, for the host that was named."""

    def __init__(self, parts: SplitResult, address: str, limit_s: float) -> None:
        is_safe = parts.scheme == "https"
        super().__init__(str(parts.hostname), parts.port or (443 if is_safe else 80), timeout=limit_s)
        self._address, self._limit_s, self._is_safe = address, limit_s, is_safe
        self.is_aborted = False

    def connect(self) -> None:
        """Connect."""
        self.sock = socket.create_connection((self._address, self.port), self._limit_s)
        if self._is_safe:
            self.sock = ssl.create_default_context().wrap_socket(self.sock, server_hostname=self.host)

    def abort(self) -> None:
        """End what is under way, from another thread."""
        self.is_aborted = True
        if self.sock is not None:
            with contextlib.suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)


def _left(until_s: float) -> float:
    left = until_s - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
