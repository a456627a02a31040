"""Any upstream that speaks OpenAI's chat completions: vLLM, llama.cpp, LM Studio, Cloud.ru, MWS, OpenAI."""

import asyncio
import io
import re
import ssl
import stat
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import aiohttp
from msgspec import Meta, Struct
from yarl import URL

from providers.addresses import PrivateResolver, is_private_host
from providers.chat import ChatRequest, Chunk
from providers.errors import (
    CLIENT_ERRORS,
    MalformedReplyError,
    ProviderError,
    UnusableSettingsError,
    from_client,
    from_status,
    retry_after_seconds,
    safe_request_id,
)
from providers.openai_wire import DONE, ReplyReader, encode_request, error_code
from providers.protocol import Readiness
from providers.router import ModelSettings, ProviderName, Residency
from providers.sse import EventParser

Seconds = Annotated[float, Meta(gt=0)]


class Timeouts(Struct, frozen=True, forbid_unknown_fields=True):
    """Seconds. `connect`: name, TCP and TLS. `first_byte`: from sending to the first byte of the answer's body.

    `idle`: between two pieces of the answer. `total`: the whole exchange, the reader's own pauses included.
    """

    connect: Seconds = 10.0
    first_byte: Seconds = 120.0
    idle: Seconds = 60.0
    total: Seconds = 900.0


class OpenAICompatibleSettings(
    Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="openai_compatible", kw_only=True
):
    """`base_url` ends where `/chat/completions` begins, usually in `/v1`.

    `ca_file`, when given, is the only authority trusted for this upstream. `headers` are sent as they are and hold
    no secret: the key has its file. `keepalive` (seconds) stays below the upstream's own idle limit; 0 makes a new
    connection for every request.
    """

    name: ProviderName
    models: tuple[ModelSettings, ...]
    base_url: str
    api_key_file: str = ""
    ca_file: str = ""
    headers: dict[str, str] = {}
    timeouts: Timeouts = Timeouts()
    keepalive: Annotated[float, Meta(ge=0)] = 15.0


@asynccontextmanager
async def open_openai_compatible(settings: OpenAICompatibleSettings) -> AsyncIterator["OpenAICompatible"]:
    """Reads the key and the CA file once, now. Raises UnusableSettingsError naming the first thing that is wrong."""
    problems = _refusals(settings)
    if problems:
        raise UnusableSettingsError(problems[0])
    url = URL(settings.base_url)
    headers = dict(settings.headers)
    if settings.api_key_file:
        headers["Authorization"] = f"Bearer {await asyncio.to_thread(_read_key, settings.api_key_file)}"
    tls = await asyncio.to_thread(_tls_context, settings.ca_file) if url.scheme == "https" else None
    inside = url.scheme == "http" or any(model.residency is Residency.LOCAL for model in settings.models)
    async with open_session(
        tls=tls, inside=inside, keepalive=settings.keepalive, timeouts=settings.timeouts
    ) as session:
        yield OpenAICompatible(settings.name, session, url, headers, settings.timeouts)


def problems_of_openai_compatible(settings: OpenAICompatibleSettings) -> list[str]:
    """What makes opening fail, and what an operator should not leave as it is. Reads files, asks no network."""
    problems = _refusals(settings)
    with suppress(OSError):
        if settings.api_key_file and Path(settings.api_key_file).stat().st_mode & (stat.S_IWGRP | stat.S_IRWXO):
            problems.append(
                f"поставщик `{settings.name}`: файл `api_key_file` открыт другим пользователям; выполните `chmod 400`"
            )
    return problems


@asynccontextmanager
async def open_session(
    *, tls: ssl.SSLContext | None, inside: bool, keepalive: float, timeouts: Timeouts
) -> AsyncIterator[aiohttp.ClientSession]:
    """The one kind of HTTP session we use. `inside`: no connection leaves the company's network.

    The environment's proxies are ignored, cookies are dropped, and TLS verification cannot be switched off.
    """
    resolver = PrivateResolver() if inside else None
    connector = aiohttp.TCPConnector(
        limit=0,  # how many requests run at once is the appliance's decision, not a hidden queue's
        force_close=not keepalive,
        keepalive_timeout=keepalive or None,
        ssl=tls or True,
        resolver=resolver,
    )
    try:
        async with aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=timeouts.connect),
        ) as session:
            yield session
    finally:
        if resolver:
            await resolver.close()


class OpenAICompatible:
    """One upstream, one keep-alive session. Made by open_openai_compatible, or over a session of open_session."""

    def __init__(
        self, name: str, session: aiohttp.ClientSession, base_url: URL, headers: dict[str, str], timeouts: Timeouts
    ) -> None:
        self.name: Final = name
        self._session = session
        self._url = base_url / "chat" / "completions"
        self._headers = _OUR_HEADERS | headers
        self._timeouts = timeouts

    def readiness(self) -> Readiness:
        return Readiness(ready=True)

    async def chat(self, request: ChatRequest) -> AsyncGenerator[Chunk, None]:
        # (1) send, within the first-byte limit
        reading = _Reading(self._timeouts)
        response = await self._send(encode_request(request), reading)
        reading.watch(response)
        try:
            # (2) a whole completion, or events
            reply = ReplyReader(safe_request_id(response.headers.get("x-request-id")))
            reading.request_id = reply.request_id
            kind = response.content_type
            if kind == "text/html":
                raise MalformedReplyError("the upstream answered with a web page", request_id=reply.request_id)
            if kind == "application/json":
                chunk = _read(reply, await _whole(response, reading))
                if chunk:
                    yield chunk
            else:
                # (3) hand on each chunk as it comes, until [DONE] or the end of the bytes
                parser, done = EventParser(), False
                while not done and (received := await reading.more(response)):
                    for event in parser.feed(received):
                        if done := event == DONE:
                            break
                        if chunk := _read(reply, event):
                            yield chunk
                if done:
                    await _drain(response)
            reply.end()
        finally:
            reading.stop()
            # An unread rest means a closed connection, at once; a fully read answer has given it back already.
            response.close()

    async def _send(self, body: bytes, reading: "_Reading") -> aiohttp.ClientResponse:
        """The response to go on reading, its status 200. Raises for every other."""
        try:
            async with asyncio.timeout_at(reading.deadline()):
                response = await self._post(body)
        except CLIENT_ERRORS as error:
            raise from_client(error, began=False) from None
        if response.status != 200:
            try:
                raise await _failure(response)
            finally:
                response.close()
        return response

    async def _post(self, body: bytes) -> aiohttp.ClientResponse:
        # Above 1 MiB the client wants a file, to write it in pieces.
        data = body if len(body) < 1_000_000 else io.BytesIO(body)
        return await self._session.post(self._url, data=data, headers=self._headers, allow_redirects=False)


class _Reading:
    """The clock of one exchange.

    One timer watches it all, since a timeout around every read is a measurable part of a chunk's cost. It looks at least
    once in every `idle` seconds, so no deadline set from now on can be missed; when one has passed it closes the
    response, which wakes whoever waits for it.
    """

    __slots__ = ("_deadline", "_expired", "_idle", "_loop", "_response", "_timer", "_total", "began", "request_id")

    def __init__(self, timeouts: Timeouts) -> None:
        self._loop = asyncio.get_running_loop()
        self._idle = timeouts.idle
        now = self._loop.time()
        self._total = now + timeouts.total
        self._deadline = min(now + timeouts.first_byte, self._total)
        self._expired = False
        self._response: aiohttp.ClientResponse | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.began = False
        self.request_id = ""

    def deadline(self) -> float:
        return self._deadline

    def watch(self, response: aiohttp.ClientResponse) -> None:
        """From here on the clock closes `response` when its time is up. The caller ends this with stop()."""
        self._response = response
        self._arm()

    def stop(self) -> None:
        if self._timer:
            self._timer.cancel()

    async def more(self, response: aiohttp.ClientResponse) -> bytes:
        """The bytes that have come by now, waiting for some within the limits; b"" at the end."""
        if self.began:
            self._deadline = min(self._loop.time() + self._idle, self._total)
        try:
            received = await response.content.readany()
        except CLIENT_ERRORS as error:
            cause = TimeoutError() if self._expired else error
            raise from_client(cause, began=self.began, request_id=self.request_id) from None
        self._deadline = self._total  # while the reader is busy with it, only the whole exchange is timed
        self.began = True
        return received

    def _arm(self) -> None:
        self._timer = self._loop.call_at(min(self._deadline, self._loop.time() + self._idle), self._look)

    def _look(self) -> None:
        if self._loop.time() < self._deadline:
            self._arm()
        elif self._response:
            self._expired = True
            self._response.close()


_OUR_HEADERS: Final = {
    "Accept": "text/event-stream, application/json",
    "Accept-Encoding": "identity",  # nothing to inflate, nothing to blow up
    "Content-Type": "application/json",
    "User-Agent": "llm-client/1.0",
}
_MAX_COMPLETION: Final = 16 * 1_048_576
_MAX_ERROR: Final = 65_536
_ERROR_BODY_SECONDS: Final = 5.0
_DRAIN_SECONDS: Final = 0.1
_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_KEY: Final = re.compile(r"[\x21-\x7e]+")
_SECRET_HEADER: Final = re.compile(r"authorization|cookie|key|token|secret|password", re.IGNORECASE)


def _read(reply: ReplyReader, json: bytes) -> Chunk | None:
    try:
        return reply.read(json)
    except CLIENT_ERRORS as error:
        raise from_client(error, began=True, request_id=reply.request_id) from None


async def _whole(response: aiohttp.ClientResponse, reading: _Reading) -> bytes:
    """A body that is one JSON document: some servers answer so although a stream was asked for."""
    body = bytearray()
    while received := await reading.more(response):
        body += received
        if len(body) > _MAX_COMPLETION:
            raise MalformedReplyError(f"the upstream sent a completion longer than {_MAX_COMPLETION} bytes")
    return bytes(body)


async def _drain(response: aiohttp.ClientResponse) -> None:
    """Read what stands between [DONE] and the end of the body, so that the connection can be used again."""
    with suppress(*CLIENT_ERRORS):
        async with asyncio.timeout(_DRAIN_SECONDS):
            await response.content.read(_MAX_ERROR)
            await response.content.read(1)


async def _failure(response: aiohttp.ClientResponse) -> ProviderError:
    """The error for a status other than 200. Of the body only a known code is used."""
    body = b""
    with suppress(*CLIENT_ERRORS):
        async with asyncio.timeout(_ERROR_BODY_SECONDS):
            body = await response.content.read(_MAX_ERROR)
    return from_status(
        response.status,
        retry_after=retry_after_seconds(response.headers.get("retry-after"), now=datetime.now(UTC)),
        request_id=safe_request_id(response.headers.get("x-request-id")),
        code=error_code(body),
    )


def _refusals(settings: OpenAICompatibleSettings) -> list[str]:
    return [
        *_address_problems(settings),
        *_file_problems(settings),
        *_header_problems(settings),
    ]


def _address_problems(settings: OpenAICompatibleSettings) -> list[str]:
    name = settings.name
    try:
        url = URL(settings.base_url)
    except ValueError:
        return [f"поставщик `{name}`: `base_url` — не адрес URL"]
    if url.scheme not in ("http", "https") or not url.host:
        return [f"поставщик `{name}`: `base_url` — не адрес http или https"]
    problems = []
    if url.user or url.password or url.query_string or url.fragment:
        problems.append(
            f"поставщик `{name}`: в `base_url` не место имени, паролю, запросу и фрагменту; ключ хранится в своём файле"
        )
    inside = is_private_host(url.host)
    if url.scheme == "http" and not inside:
        problems.append(f"поставщик `{name}`: `base_url` ведёт за пределы сети компании по открытому http; нужен https")
    problems += [
        f"поставщик `{name}`: модель `{model.name}` названа локальной, но `{url.host}` — не узел внутри сети компании"
        for model in settings.models
        if model.residency is Residency.LOCAL and not inside
    ]
    return problems


def _file_problems(settings: OpenAICompatibleSettings) -> list[str]:
    problems = []
    try:
        if settings.api_key_file:
            _read_key(settings.api_key_file)
    except OSError:
        problems.append(f"поставщик `{settings.name}`: файл `api_key_file` не читается")
    except ValueError:
        problems.append(f"поставщик `{settings.name}`: в `api_key_file` должна быть одна строка без пробелов — ключ")
    try:
        if settings.ca_file:
            _tls_context(settings.ca_file)
    except (OSError, ssl.SSLError):
        problems.append(f"поставщик `{settings.name}`: `ca_file` не читается как сертификаты PEM")
    return problems


def _header_problems(settings: OpenAICompatibleSettings) -> list[str]:
    problems = []
    for header, value in settings.headers.items():
        if not _TOKEN.fullmatch(header) or not value.isascii() or not value.isprintable():
            problems.append(f"поставщик `{settings.name}`: среди `headers` есть недопустимый в HTTP")
        elif _SECRET_HEADER.search(header):
            problems.append(
                f"поставщик `{settings.name}`: заголовок `{header}` похож на секрет; для ключа есть `api_key_file`"
            )
        elif header.lower() in _RESERVED_HEADERS:
            problems.append(f"поставщик `{settings.name}`: заголовок `{header}` клиент ставит сам; уберите его")
    return problems


_RESERVED_HEADERS: Final = frozenset(
    {name.lower() for name in _OUR_HEADERS}
    | {"host", "connection", "content-length", "transfer-encoding", "upgrade", "te", "expect"}
)


def _read_key(path: str) -> str:
    key = Path(path).read_text(encoding="utf-8").strip()
    if not _KEY.fullmatch(key):
        raise ValueError("not a key")
    return key


def _tls_context(ca_file: str) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca_file or None)
