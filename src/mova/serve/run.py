"""A server from its start to its end: the worker under its supervisor, the sweeper, and the API before them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Final

from mova.kernels.cpu_memory import share_heaps
from mova.serve.access.keys import Keys
from mova.serve.api.app import PageFile, make_app
from mova.serve.api.build import is_loopback, services_of
from mova.serve.page.page import page_files
from mova.serve.settings import ServeSettings
from mova.serve.sweeper import Sweeper
from mova.serve.worker.process import MOVA
from mova.serve.worker.supervisor import Supervisor
from mova.web.server import run_server

_HOUR_S: Final = 3600.0
_GRACE_S: Final = 3


class _Bell:
    """Wakes a worker that comes to be later than whoever rings."""

    def __init__(self) -> None:
        self._heard: list[Callable[[], None]] = []

    def ring(self) -> None:
        for wake in self._heard:
            wake()

    def hang(self, wake: Callable[[], None]) -> None:
        self._heard.append(wake)


def serve(
    settings: ServeSettings,
    on_ready: Callable[[str], None] = lambda _: None,
    *,
    generator: str = MOVA,
    options: Mapping[str, object] | None = None,
) -> None:
    """Serve until the process is asked to end. A clip that is being made then goes on after the next start.

    Args:
        settings: of the server.
        on_ready: told the address once connections are taken; the worker may still be loading its model.
        generator: `module:function` of what makes the clips; only tests name another one than the model's.
        options: of the generator.

    Raises:
        MovaError: what can be known to be wrong, before anything is loaded.
        MissingExtraError: a package of the extra `serve` is not installed.
    """
    share_heaps()
    bell = _Bell()
    with services_of(settings, bell.ring) as services:
        supervisor = Supervisor(settings, services.store, generator, options)
        orphan_s = settings.retention.orphan_hours * _HOUR_S
        sweeper = Sweeper(services.store, services.artifacts, orphan_s=orphan_s, on_queued=supervisor.wake)
        bell.hang(supervisor.wake)
        app, events = make_app(services, pages_of(settings))
        shown = f"[{settings.host}]" if ":" in settings.host else settings.host

        with ExitStack() as running:

            def begin(port: int) -> None:
                # Not before: an address that is taken is said without a worker.
                sweeper.start()
                running.callback(sweeper.stop)
                supervisor.start()
                running.callback(supervisor.stop)
                on_ready(f"http://{shown}:{port}/")

            run_server(app, settings.host, settings.port, begin, extra="serve", grace_s=_GRACE_S, on_stop=events.close)


def pages_of(settings: ServeSettings) -> Mapping[str, PageFile]:
    """Return the files of the web page, by path; none where the settings do without it."""
    return page_files() if settings.page else {}


def says_public(settings: ServeSettings) -> str | None:
    """Return a warning where others than this machine reach a server without keys; None elsewhere.

    Raises:
        ConfigError: the file of keys is damaged.
    """
    is_public = not is_loopback(settings.host) and settings.public_without_keys
    # Who gives it names has a proxy before it, as a rule.
    is_named = any(name != "localhost" for name in settings.hosts)
    if not (is_public or is_named) or Keys(settings.keys_path()).all():
        return None
    where = "this address" if is_public else f"this server as {settings.hosts[0]}"
    return f"warning: whoever reaches {where} may make clips and see all of them: there are no API keys"
