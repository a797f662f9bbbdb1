"""API keys: made once and shown once; only digests of them are kept, in a file beside the database.

A key is `mova_` and 43 characters of 256 random bits, so that a plain digest tells nothing of it.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from mova.errors import ConfigError
from mova.files.json_file import Fields, read_object, shorten
from mova.files.lock import lock_folder
from mova.files.replacing import replacing
from mova.serve.settings import QuotaSection

PREFIX: Final = "mova_"
_SECRET: Final = re.compile(r"mova_[A-Za-z0-9_-]{43}")
_NAME: Final = re.compile(r"[\w][\w .@-]{0,63}")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_MOST_BYTES: Final = 4 * 2**20
_MOST_KEYS: Final = 10_000
_LOCK_S: Final = 10.0


@dataclass(frozen=True)
class ApiKey:
    """A key, without the secret.

    Attributes:
        id: `key_` and 12 hexadecimal digits; owner of jobs.
        name: that people gave it.
        digest: SHA-256 of the secret, in hexadecimal.
        created_s, revoked_s: moments, in seconds since 1970; None where it was not revoked.
        is_admin: whether it sees all jobs, and may pause and reorder the queue.
        quota: limits of its own; None takes those of the settings.
    """

    id: str
    name: str
    digest: str
    created_s: float
    revoked_s: float | None = None
    is_admin: bool = False
    quota: QuotaSection | None = None

    def to_record(self) -> dict[str, object]:
        """Return the key as JSON values."""
        return {
            "id": self.id,
            "name": self.name,
            "sha256": self.digest,
            "created_s": self.created_s,
            "revoked_s": self.revoked_s,
            "is_admin": self.is_admin,
            "quota": None if self.quota is None else self.quota.model_dump(),
        }

    @classmethod
    def from_record(cls, record: Fields) -> ApiKey:
        """Read what `to_record` wrote.

        Raises:
            ConfigError: a value of another kind.
        """
        digest = record.text("sha256")
        if not _DIGEST.fullmatch(digest):
            raise ConfigError(f"{record.where}: sha256 must be 64 hexadecimal digits, got another text")
        return cls(
            record.text("id"),
            record.text("name"),
            digest,
            record.number("created_s"),
            None if record.values.get("revoked_s") is None else record.number("revoked_s"),
            record.flag("is_admin", False),
            _quota_of(record),
        )


class Keys:
    """The keys of a file. It is read again whenever it has changed; one that is damaged lets nobody in.

    Args:
        path: of the file; it need not be there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._stamp: tuple[int, ...] | None = None
        self._found: tuple[ApiKey, ...] = ()

    def all(self) -> tuple[ApiKey, ...]:
        """Return all keys, revoked ones too, in the order in which they were made.

        Raises:
            ConfigError: the file is damaged.
        """
        with self._lock:
            stamp = self._stamp_now()
            if stamp != self._stamp:
                self._found = () if stamp is None else _read(self.path)
                self._stamp = stamp
            return self._found

    def has_any(self) -> bool:
        """Say whether there is a key that is not revoked."""
        return any(key.revoked_s is None for key in self.all())

    def find(self, secret: str) -> ApiKey | None:
        """Return the key of a secret; None where there is none, or it is revoked."""
        if not _SECRET.fullmatch(secret):
            return None
        digest = digest_of(secret)
        return next((key for key in self.all() if key.digest == digest and key.revoked_s is None), None)

    def create(
        self, name: str, *, is_admin: bool = False, quota: QuotaSection | None = None, now: float | None = None
    ) -> tuple[ApiKey, str]:
        """Make a key; return it and its secret, which is kept nowhere.

        Raises:
            ConfigError: a name that is none, or of a key that is in use; too many keys.
        """
        if not _NAME.fullmatch(name):
            raise ConfigError(
                f"name of a key must be 1 to 64 letters, digits, spaces or any of . @ _ -, got {shorten(name)}"
            )
        secret = PREFIX + secrets.token_urlsafe(32)
        with self._changing() as keys:
            if any(key.name == name and key.revoked_s is None for key in keys):
                raise ConfigError(f"name of a key must be new, got {name}, which is in use; revoke it first")
            if len(keys) >= _MOST_KEYS:
                raise ConfigError(f"a file holds at most {_MOST_KEYS} keys, got one more")
            made = ApiKey(
                f"key_{secrets.token_hex(6)}",
                name,
                digest_of(secret),
                time.time() if now is None else now,
                is_admin=is_admin,
                quota=quota,
            )
            keys.append(made)
        return made, secret

    def revoke(self, name: str, now: float | None = None) -> ApiKey:
        """Revoke a key by its name or id.

        Raises:
            ConfigError: no key in use is called so.
        """
        with self._changing() as keys:
            for place, key in enumerate(keys):
                if name in (key.name, key.id) and key.revoked_s is None:
                    keys[place] = replace(key, revoked_s=time.time() if now is None else now)
                    return keys[place]
            used = ", ".join(key.name for key in keys if key.revoked_s is None) or "none"
            raise ConfigError(f"key must be the name or id of one in use ({used}), got {shorten(name)}")

    @contextmanager
    def _changing(self) -> Iterator[list[ApiKey]]:
        folder = self.path.parent
        with lock_folder(folder / f".{self.path.name}.lock", "file of keys", wait_s=_LOCK_S):
            keys = list(self.all())
            yield keys
            with replacing(self.path) as partial:
                partial.touch(mode=0o600)
                records = [key.to_record() for key in keys]
                partial.write_text(json.dumps({"keys": records}, indent=1) + "\n", encoding="utf-8")

    def _stamp_now(self) -> tuple[int, ...] | None:
        try:
            found = self.path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino


def digest_of(secret: str) -> str:
    """Return the SHA-256 of a text, in hexadecimal."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _read(path: Path) -> tuple[ApiKey, ...]:
    record = read_object(path, error=ConfigError, most_bytes=_MOST_BYTES)
    found = []
    for place, value in enumerate(record.list("keys")):
        where = f"{path}: key {place + 1}"
        if not isinstance(value, dict):
            raise ConfigError(f"{where} must be an object, got {shorten(value)}")
        found.append(ApiKey.from_record(Fields(value, where, ConfigError)))
    return tuple(found)


def _quota_of(record: Fields) -> QuotaSection | None:
    from pydantic import ValidationError

    value: Any = record.values.get("quota")
    if value is None:
        return None
    try:
        return QuotaSection.model_validate(value)
    except ValidationError as error:
        raise ConfigError(f"{record.where}: quota must hold limits of a key, got {shorten(value)}") from error
