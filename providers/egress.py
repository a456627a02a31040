"""Connections through the egress broker: in a process without a network, the only way out there is.

The broker is asked over a UNIX socket, `CONNECT host:port HTTP/1.1` (RFC 9110 section 9.3.6), and opens the connection itself if the
place is on its list. TLS is ours from end to end: the broker sees the name in the ClientHello, and no more.
"""

import asyncio
import re
import socket
import ssl
from collections.abc import Generator
from contextlib import suppress
from typing import Final, NamedTuple

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.tracing import Trace
from yarl import URL

_LONGEST: Final = 8192  # bytes of an answer
_STATUS: Final = re.compile(rb"HTTP/1\.1 ([0-9]{3}) ")
_INSIDE: Final = "Appliance-Inside: yes\r\n"


class Place(NamedTuple):
    """Where connections go: what an egress broker's list, or a firewall's, has to allow. `inside`: never out of the company."""

    host: str
    port: int
    tls: bool
    inside: bool


def place_of(address: str, *, inside: bool) -> Place:
    """The place that a URL of http or https leads to. Raises ValueError: it is none."""
    url = URL(address)
    if url.scheme not in {"http", "https"} or not url.raw_host:
        raise ValueError("not a URL of http or https with a host")
    return Place(url.raw_host or "", url.port or 0, url.scheme == "https", inside)


class BrokerError(OSError):
    """The broker did not connect us. `strerror` says why, in its own words (Russian): they name a host at most."""

    def __init__(self, words: str) -> None:
        super().__init__(0, words)


async def connect(broker: str, host: str, port: int, *, inside: bool) -> socket.socket:
    """A connection to host:port, opened by the broker at this path. `inside`: refused unless it stays within the company.

    Raises OSError: BrokerError when the broker answers that it will not or cannot. Waits as long as its caller lets it.
    """
    loop = asyncio.get_running_loop()
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    talk = _talk(host, port, inside=inside)
    try:
        await loop.sock_connect(connection, broker)
        await loop.sock_sendall(connection, next(talk))
        with suppress(StopIteration):
            while True:
                talk.send(await loop.sock_recv(connection, 1))
    except BaseException:
        connection.close()
        raise
    return connection


def connect_now(broker: str, host: str, port: int, *, seconds: float) -> socket.socket:
    """As `connect`, for those who wait: `seconds` for each step, and for what is done with the connection. Raises OSError."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(seconds)
    talk = _talk(host, port, inside=False)
    try:
        connection.connect(broker)
        connection.sendall(next(talk))
        with suppress(StopIteration):
            while True:
                talk.send(connection.recv(1))
    except BaseException:
        connection.close()
        raise
    return connection


def _talk(host: str, port: int, *, inside: bool) -> Generator[bytes, bytes, None]:
    """What to send; then takes the answer byte by byte, since what follows it is the server's. Raises BrokerError."""
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    answer = bytearray()
    part = yield f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n{_INSIDE if inside else ''}\r\n".encode("ascii")
    while True:
        answer += part
        head, ended, words = answer.partition(b"\r\n\r\n")
        status = _STATUS.match(head) if ended else None
        if status is not None and status[1] == b"200":
            return
        if not part or len(answer) > _LONGEST:
            said = words.decode(errors="replace").strip() if status is not None else "не отвечает"
            raise BrokerError(f"посредник: {said}")
        part = yield b""


class BrokerConnector(aiohttp.BaseConnector):
    """Connections of the HTTP client, each asked of the broker. Asks no resolver: that, too, is the broker's."""

    def __init__(
        self, broker: str, *, tls: ssl.SSLContext | None, inside: bool, force_close: bool, keepalive: float | None
    ) -> None:
        super().__init__(limit=0, force_close=force_close, keepalive_timeout=keepalive)
        self._broker = broker
        self._tls = tls
        self._inside = inside

    async def _create_connection(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],  # noqa: ARG002  (we have none)
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109  (its name is the client's)
    ) -> ResponseHandler:
        key = req.connection_key
        host, port = req.url.raw_host or "", req.url.port or 0
        tls = None
        if req.is_ssl():
            tls = self._tls or ssl.create_default_context()
        try:
            async with asyncio.timeout(timeout.sock_connect):
                connection = await connect(self._broker, host.rstrip("."), port, inside=self._inside)
                name = host.rstrip(".") if tls else None
                try:
                    _, protocol = await self._loop.create_unix_connection(
                        self._factory, sock=connection, ssl=tls, server_hostname=name
                    )
                except BaseException:
                    connection.close()
                    raise
        except ssl.CertificateError as error:
            raise aiohttp.ClientConnectorCertificateError(key, error) from error
        except ssl.SSLError as error:
            raise aiohttp.ClientConnectorSSLError(key, error) from error
        except TimeoutError:
            raise
        except OSError as error:
            raise aiohttp.ClientConnectorError(key, error) from error
        return protocol
