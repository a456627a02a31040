"""One request to an upstream over HTTP and its answer, byte for byte, within limits: what every remote provider sends through."""

import asyncio
import io
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import aiohttp
from msgspec import Meta, Struct
from yarl import URL

from providers.addresses import PrivateResolver
from providers.egress import BrokerConnector
from providers.errors import (
    CLIENT_ERRORS,
    MalformedReplyError,
    ProviderError,
    from_client,
    from_status,
    retry_after_seconds,
    safe_request_id,
)

Seconds = Annotated[float, Meta(gt=0)]


class Timeouts(Struct, frozen=True, forbid_unknown_fields=True):
    """Seconds. `connect`: name, TCP and TLS. `first_byte`: from sending to the first byte of the answer's body.

    `idle`: between two pieces of the answer. `total`: the whole exchange, the reader's own pauses included.
    """

    connect: Seconds = 10.0
    first_byte: Seconds = 120.0
    idle: Seconds = 60.0
    total: Seconds = 900.0


@asynccontextmanager
async def open_session(
    *, tls: ssl.SSLContext | None, inside: bool, keepalive: float, timeouts: Timeouts, broker: str = ""
) -> AsyncIterator[aiohttp.ClientSession]:
    """The one kind of HTTP session we use. `inside`: no connection leaves the company's network.

    The environment's proxies are ignored, cookies are dropped, and TLS verification cannot be switched off.
    `keepalive` is in seconds; 0 makes a connection for each request. `broker`: the socket of the egress broker, that every
    connection is asked of; "": they are made from here.
    """
    if broker:
        pool = BrokerConnector(broker, tls=tls, inside=inside, force_close=not keepalive, keepalive=keepalive or None)
        async with _session(pool, timeouts) as session:
            yield session
        return
    resolver = PrivateResolver() if inside else None
    connector = aiohttp.TCPConnector(
        limit=0,  # how many requests run at once is the appliance's decision, not a hidden queue's
        force_close=not keepalive,
        keepalive_timeout=keepalive or None,
        ssl=tls or True,
        resolver=resolver,
    )
    try:
        async with _session(connector, timeouts) as session:
            yield session
    finally:
        if resolver:
            await resolver.close()


def open_local_session(
    socket: str, *, keepalive: float, timeouts: Timeouts
) -> AbstractAsyncContextManager[aiohttp.ClientSession]:
    """As `open_session`, to a server on this machine that listens on this UNIX socket: whatever the URL's host, it is asked."""
    return _session(aiohttp.UnixConnector(socket, limit=0, keepalive_timeout=keepalive), timeouts)


def _session(
    connector: aiohttp.BaseConnector, timeouts: Timeouts
) -> AbstractAsyncContextManager[aiohttp.ClientSession]:
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=timeouts.connect),
    )


@asynccontextmanager
async def post(
    session: aiohttp.ClientSession, url: URL, body: bytes, headers: dict[str, str], timeouts: Timeouts
) -> AsyncIterator["Exchange"]:
    """Send a body and yield the exchange, whatever its status; leaving it closes what was not read to the end, at once.

    The body is sent once: redirects are not followed, and a lost connection is not tried again. Raises ProviderError.
    """
    # Above 1 MiB the client wants a file, to write it in pieces.
    data = body if len(body) < 1_000_000 else io.BytesIO(body)
    async with _exchange(lambda: session.post(url, data=data, headers=headers, allow_redirects=False), timeouts) as it:
        yield it


@asynccontextmanager
async def get(
    session: aiohttp.ClientSession, url: URL, headers: dict[str, str], timeouts: Timeouts
) -> AsyncIterator["Exchange"]:
    """As `post`, without a body: for what an upstream says of itself."""
    async with _exchange(lambda: session.get(url, headers=headers, allow_redirects=False), timeouts) as it:
        yield it


@asynccontextmanager
async def _exchange(
    send: Callable[[], Awaitable[aiohttp.ClientResponse]], timeouts: Timeouts
) -> AsyncIterator["Exchange"]:
    exchange = Exchange(timeouts)
    try:
        async with asyncio.timeout_at(exchange.deadline):
            response = await send()
    except CLIENT_ERRORS as error:
        raise from_client(error, began=False) from None
    exchange.watch(response)
    try:
        yield exchange
    finally:
        exchange.stop()
        # An unread rest means a closed connection, at once; a fully read answer has given it back already.
        response.close()


class Exchange:
    """An answer as it comes, and its clock. Made by `post` and `get`.

    One timer watches it all, since a timeout around every read is a measurable part of a chunk's cost. It looks at least
    once in every `idle` seconds, so no deadline set from now on can be missed; when one has passed it closes the
    response, which wakes whoever waits for it.
    """

    __slots__ = ("_expired", "_idle", "_loop", "_response", "_timer", "_total", "began", "deadline", "request_id")

    _response: aiohttp.ClientResponse

    def __init__(self, timeouts: Timeouts) -> None:
        self._loop = asyncio.get_running_loop()
        self._idle = timeouts.idle
        now = self._loop.time()
        self._total = now + timeouts.total
        self.deadline = min(now + timeouts.first_byte, self._total)
        self._expired = False
        self._timer: asyncio.TimerHandle | None = None
        self.began = False  # whether a byte of the body has come
        self.request_id = ""  # the upstream's, "" when it gave none

    def watch(self, response: aiohttp.ClientResponse) -> None:
        """From here on the clock closes `response` when its time is up. The caller ends this with stop()."""
        self._response = response
        self.request_id = safe_request_id(response.headers.get("x-request-id"))
        self._arm()

    def stop(self) -> None:
        """Stop the clock."""
        if self._timer:
            self._timer.cancel()

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self._response.status

    @property
    def content_type(self) -> str:
        """The media type without its parameters."""
        return self._response.content_type

    async def more(self) -> bytes:
        """The bytes that have come by now, waiting for some within the limits; b"" at the end. Raises ProviderError."""
        if self.began:
            self.deadline = min(self._loop.time() + self._idle, self._total)
        try:
            received = await self._response.content.readany()
        except CLIENT_ERRORS as error:
            cause = TimeoutError() if self._expired else error
            raise from_client(cause, began=self.began, request_id=self.request_id) from None
        self.deadline = self._total  # while the reader is busy with it, only the whole exchange is timed
        self.began = True
        return received

    async def whole(self) -> bytes:
        """A body that is one JSON document. Raises ProviderError, also when it is too long to be one."""
        body = bytearray()
        while received := await self.more():
            body += received
            if len(body) > _MAX_COMPLETION:
                raise MalformedReplyError(f"the upstream sent a completion longer than {_MAX_COMPLETION} bytes")
        return bytes(body)

    async def drain(self) -> None:
        """Read what stands between the protocol's end and the body's, so that the connection can be used again."""
        with suppress(*CLIENT_ERRORS):
            async with asyncio.timeout(_DRAIN_SECONDS):
                await self._response.content.read(_MAX_ERROR)
                await self._response.content.read(1)

    async def failure(self, code_of: Callable[[bytes], str]) -> ProviderError:
        """The error for a status other than 200. Of the body only what `code_of` makes of it is used: a known code."""
        body = b""
        with suppress(*CLIENT_ERRORS):
            async with asyncio.timeout(_ERROR_BODY_SECONDS):
                body = await self._response.content.read(_MAX_ERROR)
        return from_status(
            self.status,
            retry_after=retry_after_seconds(self._response.headers.get("retry-after"), now=datetime.now(UTC)),
            request_id=self.request_id,
            code=code_of(body),
        )

    def _arm(self) -> None:
        self._timer = self._loop.call_at(min(self.deadline, self._loop.time() + self._idle), self._look)

    def _look(self) -> None:
        if self._loop.time() < self.deadline:
            self._arm()
        else:
            self._expired = True
            self._response.close()


_MAX_COMPLETION: Final = 16 * 1_048_576
_MAX_ERROR: Final = 65_536
_ERROR_BODY_SECONDS: Final = 5.0
_DRAIN_SECONDS: Final = 0.1
_KEY: Final = re.compile(r"[\x21-\x7e]+")


def read_key(path: str) -> str:
    """The one line of a key file. Raises OSError, or ValueError when it is anything but one word of printable ASCII."""
    key = Path(path).read_text(encoding="utf-8").strip()
    if not _KEY.fullmatch(key):
        raise ValueError("not a key")
    return key


def tls_context(ca_file: str) -> ssl.SSLContext:
    """TLS that verifies: with the system's authorities, or with those of `ca_file` alone. Raises OSError, ssl.SSLError."""
    return ssl.create_default_context(cafile=ca_file or None)
