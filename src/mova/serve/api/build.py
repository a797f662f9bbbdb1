"""The parts of a server, put together."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from mova.errors import ConfigError
from mova.generate.enhance.run import check_ready
from mova.serve.access.content import ContentFilter
from mova.serve.access.gate import Gate
from mova.serve.access.keys import Keys
from mova.serve.access.quotas import DAY_S, Quotas
from mova.serve.api.metrics import Metrics
from mova.serve.api.replies import Replies
from mova.serve.api.services import Services
from mova.serve.api.videos import find_clip
from mova.serve.artifacts import Artifacts
from mova.serve.intake.decoders import Decoders
from mova.serve.intake.intake import Intake
from mova.serve.intake.offer import Offer
from mova.serve.jobs.spending import Spending
from mova.serve.settings import ServeSettings
from mova.serve.worker.process import open_store

_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")


@contextmanager
def services_of(settings: ServeSettings, wake: Callable[[], None] = lambda: None) -> Iterator[Services]:
    """Give the parts of a server for the time of the block.

    Args:
        settings: of the server.
        wake: tells workers that something waits.

    Raises:
        MovaError: a model, database, storage or filter that there is not; an address beyond this machine without keys.
    """
    keys = keys_in_force(settings)
    settings.runtime()
    enhance = settings.enhance_settings()
    check_ready(enhance)
    offer, content = Offer(settings), ContentFilter(settings.content_filter)
    try:
        settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ConfigError(
            f"data must be a folder that can be written, got {settings.data}: {error.strerror}"
        ) from error
    artifacts = Artifacts(settings.artifacts_url())
    store = open_store(settings)
    decoders = Decoders(settings.limits.decoders, settings.limits.decode_s)
    try:
        gate = Gate(settings, keys)
        shows_paths = not gate.needs_key and is_loopback(settings.host)
        intake = Intake(settings, offer, decoders, artifacts, lambda source, sees: find_clip(store, source, sees))
        intake.clear()
        decoders.start()
        yield Services(
            settings=settings,
            offer=offer,
            store=store,
            artifacts=artifacts,
            decoders=decoders,
            intake=intake,
            gate=gate,
            quotas=Quotas(store, Spending(store.database, time.time, DAY_S), artifacts),
            content=content,
            replies=Replies(offer, store, artifacts, shows_paths=shows_paths),
            metrics=Metrics(store),
            enhance=enhance,
            wake=wake,
        )
    finally:
        decoders.close()
        store.database.close()


def keys_in_force(settings: ServeSettings) -> Keys | None:
    """Return the keys that are asked for; None where nobody needs one.

    Raises:
        ConfigError: the address is reached from beyond this machine, and there are no keys.
    """
    keys = Keys(settings.keys_path())
    if keys.all():
        return keys
    if not is_loopback(settings.host) and not settings.public_without_keys:
        raise ConfigError(
            f"a server that others reach needs API keys, got host {settings.host} and none in {settings.keys_path()}; "
            "make one with mova serve keys create NAME, or say --public-without-keys; nearest is host 127.0.0.1"
        )
    return None


def is_loopback(host: str) -> bool:
    """Say whether an address is reached from this machine alone."""
    return host in _LOOPBACK or host.startswith("127.")
