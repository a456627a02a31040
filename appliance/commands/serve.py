"""`appliance serve`: run the service until it is told to stop, and let running answers finish."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import msgspec
import uvicorn
import uvloop
from litestar import Litestar
from litestar.types import Message, Receive, Scope, Send

from appliance.app import create_app
from appliance.commands.options import chosen, fail, with_settings
from appliance.errors import GatewayError, SettingsError
from appliance.first_run import create_keys, missing_keys
from appliance.service import Service
from appliance.settings import Settings, problems
from appliance.systemd import Notifier, inherited_sockets
from audit import AuditError
from policies import PoliciesError
from providers import EmbeddedSettings, ProviderError, TestingSettings

_LINGER = 2.0  # seconds
_LOG = logging.getLogger("appliance")


@click.command(name="serve")
@with_settings
@click.option(
    "--local-model",
    default="auto",
    show_default=True,
    help="Без файла настроек: default, small, none (имитатор), auto (лучшая из скачанных) или путь к файлу GGUF.",
)
@click.option("--port", type=click.IntRange(0, 65535), help="Порт вместо указанного в настройках; 0 — любой свободный.")
def serve_command(settings_file: Path | None, state: Path, local_model: str, port: int | None) -> None:
    """Запустить сервис. Без `--settings` ключи первого запуска создаются сами."""
    settings = chosen(settings_file, state, local_model)
    if port is not None:
        settings = msgspec.structs.replace(settings, server=msgspec.structs.replace(settings.server, port=port))
    if settings_file is None:
        create_keys(settings)
        if local_model != "none" and isinstance(settings.providers[0], TestingSettings):
            click.echo(
                "Локальной модели нет (веса не скачаны или процессор без AVX2): за неё отвечает встроенный имитатор."
            )
    found = problems(settings)
    if found:
        fail(*found, missing=missing_keys(settings))
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        uvloop.run(_serve(settings))
    except* SettingsError as group:
        fail(*(problem for error in leaves(group) if isinstance(error, SettingsError) for problem in error.problems))
    except* (AuditError, PoliciesError, ProviderError) as group:
        fail(*(str(error) for error in leaves(group)))


def leaves(group: BaseExceptionGroup[Exception]) -> Iterator[Exception]:
    """The errors in a group; Litestar runs its lifespan in a task group, which wraps what a part could not open with."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from leaves(error)
        else:
            yield error


async def _serve(settings: Settings) -> None:
    notifier = Notifier()
    inherited = _inherited()
    sockets = inherited or [_listen(settings)]
    app = create_app(settings)
    draining = _Draining(app)
    config = uvicorn.Config(
        draining,
        interface="asgi3",
        lifespan="off",  # ours is entered here, so that what cannot be opened is told in our own words
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=settings.server.drain_seconds,
    )
    server = _Server(config, settings, app, notifier, draining, linger=_LINGER if inherited else 0.0)
    async with app.lifespan():
        # What is loaded by now stays for ever: the collector need not walk it again while a request waits (measured: up to 76 ms).
        gc.collect()
        gc.freeze()
        watched = asyncio.create_task(notifier.keep_alive())
        try:
            await server.serve(sockets=sockets)
        finally:
            watched.cancel()


def _inherited() -> list[socket.socket]:
    try:
        return inherited_sockets()
    except OSError as error:
        fail(
            f"сокет, переданный systemd, не принимает соединений ({error.strerror or error}); проверьте appliance.socket"
        )


def _listen(settings: Settings) -> socket.socket:
    host, port = settings.server.host, settings.server.port
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
    except OSError as error:
        fail(f"`server.host`, `server.port`: {host}:{port} занять нельзя ({error.strerror})")
    return listening


class _Draining:
    """The application; once `begun`, each answer asks its client to take another connection for the next request."""

    def __init__(self, app: Litestar) -> None:
        self.begun = False
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sent(message: Message) -> None:
            if self.begun and message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"connection", b"close")]
            await send(message)

        await self._app(scope, receive, sent)


class _Server(uvicorn.Server):
    """Uvicorn's server with signals that only ask it to stop: the process ends after our lifespan has closed, not by the signal.

    Where systemd holds the listening socket, connections that are open stay for `linger` seconds more: a request that was on its way
    as we were told to stop is answered, and new connections wait for the next process.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        settings: Settings,
        app: Litestar,
        notifier: Notifier,
        draining: _Draining,
        *,
        linger: float,
    ) -> None:
        super().__init__(config)
        self._settings = settings
        self._app = app
        self._notifier = notifier
        self._draining = draining
        self._linger = linger
        self._reloads: set[asyncio.Future[None]] = set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """SIGTERM and SIGINT start the drain, a second SIGINT ends it; SIGHUP reads the policy again."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        try:
            yield
        finally:
            loop.remove_signal_handler(signal.SIGHUP)
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    def _reload(self) -> None:
        task = asyncio.ensure_future(_reload_policy(self._app.state.service, self._notifier))
        self._reloads.add(task)
        task.add_done_callback(self._reloads.discard)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept, then say how to ask."""
        await super().startup(sockets)
        if self.started and sockets:
            _greet(self._settings, sockets[0].getsockname()[1])
            self._notifier.ready("принимает запросы")

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no more, let what is under way end, then close."""
        self._notifier.stopping("заканчивает начатые ответы")
        for server in self.servers:
            server.close()
        self._draining.begun = True
        end = time.monotonic() + self._linger
        while self.server_state.connections and time.monotonic() < end and not self.force_exit:  # noqa: ASYNC110  (uvicorn's set)
            await asyncio.sleep(0.05)
        await super().shutdown(sockets)


async def _reload_policy(service: Service, notifier: Notifier) -> None:
    notifier.reloading()
    try:
        policy, _ = await service.officers.reload()
    except GatewayError as error:
        _LOG.error("%s", error)
    else:
        _LOG.warning("действует политика %s, %s", policy.version, policy.digest)
    finally:
        notifier.ready("принимает запросы")


def _greet(settings: Settings, port: int) -> None:
    host = settings.server.host if ":" not in settings.server.host else f"[{settings.server.host}]"
    address = f"http://{host}:{port}"
    click.echo(f"Сервис принимает запросы: {address} (остановка — Ctrl+C или SIGTERM)")
    for provider in settings.providers:
        for model in provider.models:
            loading = (
                " (модель загружается; до готовности ответ — 503)" if isinstance(provider, EmbeddedSettings) else ""
            )
            click.echo(f"  маршрут {provider.name}/{model.name} — {model.residency}{loading}")
    key = settings.first_api_key
    if any(entry.file == key for entry in settings.keys):
        secret = key.read_text().strip()
        body = '{"model": "auto", "messages": [{"role": "user", "content": "Здравствуйте! Чем вы можете помочь?"}]}'
        click.echo(f"\nКлюч API: {secret}\n\nПопробуйте:\n")
        click.echo(
            f"curl {address}/v1/chat/completions -H 'Authorization: Bearer {secret}' -H 'Content-Type: application/json' -d '{body}'\n"
        )
