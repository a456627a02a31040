"""The egress broker: the only process of the appliance with a network, in the strict profile. One file, the standard library alone.

    python3 -I -S broker.py --config FILE

It is asked over a UNIX socket, by processes of the named users only: `CONNECT host:port HTTP/1.1` (RFC 9110 section 9.3.6). What is not
on its list, it does not connect to; of TLS it reads the ClientHello (RFC 8446 section 4.1.2) before a byte goes out, and the name in it
has to be that of the list. It sees no more than that: TLS ends in the process that asked. A request that says `Appliance-Inside: yes`
is refused unless the entry is `local`.

FILE is JSON: `socket` (path; not needed where systemd gives the socket), `clients` (users, by name or number), `allow`: a list of `host`,
`port`, `tls` (true unless said otherwise), `local` (a name has to lead to inner addresses only, else to none of them: neither does a local
recipient move out nor is a neighbour reached under a foreign name; an address that is listed is taken as it is); `resolve`: host →
address, asked before the resolver; `seconds` (of a connection attempt and of a ClientHello, 10), `idle_seconds` (without a byte either way,
900), `connections` (512). SIGHUP reads the file again, for requests from then on.
"""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import json
import os
import pwd
import re
import signal
import socket
import struct
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple, NoReturn

_HEAD = 8192  # bytes of a request, at most
_HELLO = 16384  # bytes of a ClientHello, at most
_CHUNK = 65536
_NAME = re.compile(
    r"(?=.{1,253}\Z)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*\Z"
)
_REQUEST = re.compile(rb"CONNECT (\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5}) HTTP/1\.1\Z")
_HANDSHAKE, _CLIENT_HELLO = 22, 1
_SERVER_NAME, _ECH = 0, 0xFE0D
_INSIDE = b"\r\nappliance-inside: yes\r\n"
# RFC 1122 loopback, RFC 1918 private, RFC 3927 and RFC 4291 link-local, RFC 4193 unique local: as the providers have it.
INNER = tuple(
    map(
        ipaddress.ip_network,
        (
            *("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"),
            *("::1/128", "fc00::/7", "fe80::/10"),
        ),
    )
)


class RefusedError(Exception):
    """Not done, and why, in Russian; `status` is that of the answer."""

    def __init__(self, why: str, status: str = "403 Forbidden") -> None:
        super().__init__(why)
        self.status = status


class Allowed(NamedTuple):
    """One entry of the list."""

    host: str
    port: int
    tls: bool
    local: bool


class Config(NamedTuple):
    """What the broker was told."""

    socket: str
    clients: frozenset[int]
    allow: dict[tuple[str, int], Allowed]
    resolve: dict[str, str]
    seconds: float
    idle_seconds: float
    connections: int


def host_of(text: str) -> str:
    """A host as it is compared: an address in its one spelling, or a name of ASCII in small letters. Raises ValueError."""
    with suppress(ValueError):
        return str(ipaddress.ip_address(text.strip("[]")))
    name = text.lower()
    if not _NAME.match(name) or name.rsplit(".", 1)[-1].isdigit():
        raise ValueError(text)
    return name


def is_address(host: str) -> bool:
    """Whether a host that is compared is an address."""
    return ":" in host or host.rsplit(".", 1)[-1].isdigit()


def leads_inside(address: str) -> bool:
    """Whether an address is one of INNER."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped:
        found = found.ipv4_mapped
    return any(found in network for network in INNER)


def leads_outside(address: str) -> bool:
    """Whether an address is one of the public Internet."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped:
        found = found.ipv4_mapped
    return found.is_global and not found.is_multicast


def load(path: str) -> Config:
    """The configuration in a file. Raises ValueError and OSError, in words."""
    with open(path, encoding="utf-8") as file:  # noqa: PTH123  (no more imports than needed)
        said = json.load(file)
    known = {"socket", "clients", "allow", "resolve", "seconds", "idle_seconds", "connections"}
    if not isinstance(said, dict) or set(said) - known:
        raise ValueError(f"настройки: лишнее {sorted(set(said) - known) if isinstance(said, dict) else ''}")
    allow = {}
    for each in said.get("allow", []):
        entry = Allowed(
            host_of(each["host"]), int(each["port"]), bool(each.get("tls", True)), bool(each.get("local", False))
        )
        allow[entry.host, entry.port] = entry
    clients = frozenset(each if isinstance(each, int) else pwd.getpwnam(each).pw_uid for each in said["clients"])
    resolve = {host_of(name): str(ipaddress.ip_address(at)) for name, at in said.get("resolve", {}).items()}
    return Config(
        said.get("socket", ""),
        clients,
        allow,
        resolve,
        float(said.get("seconds", 10)),
        float(said.get("idle_seconds", 900)),
        int(said.get("connections", 512)),
    )


def server_name(hello: bytes) -> str | None:
    """The name in the TLS records at a connection's start, "" for none; None while the ClientHello is not whole. Raises RefusedError."""
    message = b""
    at = 0
    while True:
        if at and len(message) >= 4 and len(message) >= 4 + int.from_bytes(message[1:4], "big"):
            return _name_in(message[4 : 4 + int.from_bytes(message[1:4], "big")])
        if len(hello) < at + 5:
            break
        kind, major, length = hello[at], hello[at + 1], int.from_bytes(hello[at + 3 : at + 5], "big")
        if kind != _HANDSHAKE or major != 3 or not 0 < length <= _HELLO:
            raise RefusedError("не TLS")
        message += hello[at + 5 : at + 5 + length]
        if message and message[0] != _CLIENT_HELLO:
            raise RefusedError("не ClientHello")
        if len(hello) < at + 5 + length:
            break
        at += 5 + length
    if hello and hello[0] != _HANDSHAKE:
        raise RefusedError("не TLS")
    if len(hello) > _HELLO:
        raise RefusedError("слишком длинный ClientHello")
    return None


def _name_in(hello: bytes) -> str:
    """The server name of a ClientHello. Raises RefusedError."""
    try:
        at = 2 + 32
        at += 1 + hello[at]
        at += 2 + int.from_bytes(hello[at : at + 2], "big")
        at += 1 + hello[at]
        end = at + 2 + int.from_bytes(hello[at : at + 2], "big")
        at += 2
        if end != len(hello):
            raise RefusedError("ClientHello не по форме")
        found = ""
        while at < end:
            kind, length = struct.unpack_from(">HH", hello, at)
            content = hello[at + 4 : at + 4 + length]
            if len(content) != length or (kind == _SERVER_NAME and found):
                raise RefusedError("ClientHello не по форме")
            if kind == _ECH:
                raise RefusedError("имя сервера зашифровано (ECH)")
            if kind == _SERVER_NAME:
                size = int.from_bytes(content[3:5], "big")
                if content[2] != 0 or len(content) != 5 + size or int.from_bytes(content[:2], "big") != size + 3:
                    raise RefusedError("имя сервера не по форме")
                found = content[5:].decode("ascii").lower()
            at += 4 + length
    except (IndexError, struct.error, UnicodeDecodeError):
        raise RefusedError("ClientHello не по форме") from None
    return found


class Broker:
    """Answers one connection after the other, many at a time."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._open = 0

    def adopt(self, config: Config) -> None:
        """From now on this is what was told; connections that are there stay."""
        self._config = config

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from its first byte to its last."""
        self._open += 1
        outside: asyncio.StreamWriter | None = None
        target = "?"
        try:
            self._check_peer(writer)
            allowed = await asyncio.wait_for(self._asked(reader), self._config.seconds)
            target = f"{allowed.host}:{allowed.port}"
            incoming, outside = await self._connected(allowed)
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await writer.drain()
            first = await asyncio.wait_for(self._hello(reader, allowed), self._config.seconds) if allowed.tls else b""
            outside.write(first)
            await self._relay(reader, writer, incoming, outside)
        except RefusedError as refusal:
            self._refuse(writer, target, refusal, answered=outside is not None)
        except TimeoutError:
            self._refuse(writer, target, RefusedError("молчит", "408 Request Timeout"), answered=outside is not None)
        except (OSError, asyncio.IncompleteReadError):
            pass  # one of the two went away
        finally:
            self._open -= 1
            for each in (writer, outside):
                if each is not None:
                    each.close()

    def _check_peer(self, writer: asyncio.StreamWriter) -> None:
        connection = writer.get_extra_info("socket")
        _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        if uid not in self._config.clients:
            raise RefusedError(f"пользователь {uid} не из списка")
        if self._open > self._config.connections:
            raise RefusedError("соединений слишком много", "503 Service Unavailable")

    async def _asked(self, reader: asyncio.StreamReader) -> Allowed:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.LimitOverrunError, asyncio.IncompleteReadError):
            raise RefusedError("не запрос", "400 Bad Request") from None
        asked = _REQUEST.match(head.split(b"\r\n", 1)[0]) if len(head) <= _HEAD else None
        if asked is None:
            raise RefusedError("не CONNECT", "400 Bad Request")
        try:
            key = host_of(asked[1].decode("ascii")), int(asked[2])
        except ValueError:
            raise RefusedError("имя не по форме", "400 Bad Request") from None
        if key not in self._config.allow:
            raise RefusedError(f"{key[0]}:{key[1]} нет в списке разрешённых")
        allowed = self._config.allow[key]
        if _INSIDE in head.lower() and not (leads_inside(key[0]) if is_address(key[0]) else allowed.local):
            raise RefusedError(f"{key[0]}:{key[1]} в списке, но не как внутренний адрес")
        return allowed

    async def _connected(self, allowed: Allowed) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, failure = allowed.host, "нет адреса"
        try:
            addresses = await asyncio.wait_for(self._addresses(host, allowed.port), self._config.seconds)
        except (OSError, TimeoutError):
            raise RefusedError("имя не разрешается", "502 Bad Gateway") from None
        for address in addresses:
            fits = leads_inside if allowed.local else leads_outside
            if not is_address(host) and not fits(address):
                failure = "имя ведёт наружу" if allowed.local else "имя ведёт на внутренний адрес"
                continue
            try:
                return await asyncio.wait_for(asyncio.open_connection(address, allowed.port), self._config.seconds)
            except (OSError, TimeoutError):
                failure = "не соединяется"
        raise RefusedError(failure, "502 Bad Gateway")

    async def _addresses(self, host: str, port: int) -> Sequence[str]:
        if is_address(host) or host in self._config.resolve:
            return [self._config.resolve.get(host, host)]
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return list(dict.fromkeys(str(each[4][0]) for each in found))

    async def _hello(self, reader: asyncio.StreamReader, allowed: Allowed) -> bytes:
        """The first bytes, once they are a ClientHello for this host. Raises RefusedError."""
        content = b""
        while True:
            part = await reader.read(_CHUNK)
            if not part:
                raise RefusedError("ушёл, не договорив")
            content += part
            name = server_name(content)
            if name is not None:
                break
        expected = "" if is_address(allowed.host) else allowed.host
        if name != expected:
            raise RefusedError("имя в TLS не то, что в запросе")
        return content

    async def _relay(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        incoming: asyncio.StreamReader,
        outside: asyncio.StreamWriter,
    ) -> None:
        """Both ways until both are over, or nothing comes for too long."""
        loop = asyncio.get_running_loop()
        last = loop.time()

        async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            nonlocal last
            while part := await source.read(_CHUNK):
                last = loop.time()
                target.write(part)
                await target.drain()
            with suppress(OSError):
                target.write_eof()

        pumps = [asyncio.create_task(pump(reader, outside)), asyncio.create_task(pump(incoming, writer))]
        try:
            pending = set(pumps)
            while pending:
                left = last + self._config.idle_seconds - loop.time()
                if left <= 0:
                    raise RefusedError("долго молчат")
                done, pending = await asyncio.wait(pending, timeout=left, return_when=asyncio.FIRST_EXCEPTION)
                if any(each.exception() for each in done):
                    return  # one of the two went away
        finally:
            for each in pumps:
                each.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    def _refuse(self, writer: asyncio.StreamWriter, target: str, refusal: RefusedError, *, answered: bool) -> None:
        sys.stderr.write(f"отказано: {target}: {refusal}\n")
        if not answered:
            body = f"{refusal}\n".encode()
            about = f"Content-Type: text/plain; charset=utf-8\r\nContent-Length: {len(body)}\r\nConnection: close"
            head = f"HTTP/1.1 {refusal.status}\r\n{about}\r\n\r\n"
            with suppress(OSError):
                writer.write(head.encode() + body)


def _listening(config: Config) -> socket.socket:
    if os.environ.get("LISTEN_FDS") == "1" and os.environ.get("LISTEN_PID") == str(os.getpid()):
        return socket.socket(fileno=3)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with suppress(FileNotFoundError):
        os.unlink(config.socket)  # noqa: PTH108
    old = os.umask(0o117)
    try:
        listening.bind(config.socket)
    finally:
        os.umask(old)
    return listening


def _tell_systemd() -> None:
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address[:1] in {"/", "@"}:
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
            to.sendto(b"READY=1", "\0" + address[1:] if address[0] == "@" else address)


def _again(broker: Broker, path: str) -> None:
    try:
        broker.adopt(load(path))
        sys.stderr.write("настройки посредника прочитаны заново\n")
    except (OSError, ValueError, KeyError, TypeError) as error:
        sys.stderr.write(f"настройки посредника прежние: {type(error).__name__}: {error}\n")


async def _run(config: Config, path: str) -> None:
    broker = Broker(config)
    server = await asyncio.start_unix_server(broker.serve, sock=_listening(config), limit=_CHUNK)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, _again, broker, path)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    _tell_systemd()
    async with server:
        await ended.wait()


def main() -> NoReturn:
    """Serve until told to stop. Exit code 2: the configuration is none."""
    parser = argparse.ArgumentParser(description="Посредник: единственный, кто соединяется наружу.")
    parser.add_argument("--config", required=True)
    path = parser.parse_args().config
    try:
        config = load(path)
    except (OSError, ValueError, KeyError, TypeError) as error:
        sys.stderr.write(f"настройки посредника: {type(error).__name__}: {error}\n")
        sys.exit(2)
    asyncio.run(_run(config, path))
    sys.exit(0)


if __name__ == "__main__":
    main()
