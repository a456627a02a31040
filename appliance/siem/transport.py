"""How lines reach a collector. Each transport takes a batch and returns when it was handed over; what fails is an OSError."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Protocol

from appliance.egress.streams import open_stream
from appliance.siem.settings import FileSink, SinkSettings, TcpSink, TlsSink, host_and_port

_SECONDS = 20.0


class Transport(Protocol):
    """An open way to a collector."""

    syslog: bool  # whether lines are syslog messages

    async def send(self, lines: Sequence[bytes]) -> None:
        """Hand the lines over. Raises OSError, TimeoutError."""


class _Stream:
    """Octet counting: `LENGTH SP MESSAGE` (RFC 5425 section 4.3, RFC 6587 section 3.4.1)."""

    syslog = True

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, lines: Sequence[bytes]) -> None:
        self._check_open()
        self._writer.writelines(b"%d %b" % (len(each), each) for each in lines)
        async with asyncio.timeout(_SECONDS):
            await self._writer.drain()
        await asyncio.sleep(0)  # what the peer said meanwhile is noticed now
        self._check_open()

    def _check_open(self) -> None:
        """A collector never speaks, so anything to read is its farewell."""
        if self._reader.at_eof() or self._writer.is_closing():
            raise ConnectionResetError("the collector has closed the connection")


class _File:
    syslog = False

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    async def send(self, lines: Sequence[bytes]) -> None:
        await asyncio.to_thread(self._write, b"".join(each + b"\n" for each in lines))

    def _write(self, content: bytes) -> None:
        while content:
            content = content[os.write(self._descriptor, content) :]
        os.fsync(self._descriptor)


@asynccontextmanager
async def opened(sink: SinkSettings, broker: str = "") -> AsyncIterator[Transport]:
    """The way to a sink, through the egress broker at this socket if there is one. Raises OSError, TimeoutError."""
    match sink:
        case FileSink(path=path):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                yield _File(descriptor)
            finally:
                os.close(descriptor)
        case TlsSink() | TcpSink():
            host, port = host_and_port(sink.address)
            context = _context(sink) if isinstance(sink, TlsSink) else None
            async with asyncio.timeout(_SECONDS):
                reader, writer = await open_stream(host, port, context, broker)
            try:
                yield _Stream(reader, writer)
            finally:
                writer.close()
                with suppress(OSError, TimeoutError):
                    async with asyncio.timeout(_SECONDS):
                        await writer.wait_closed()


def _context(sink: TlsSink) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=sink.ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if sink.certificate_file is not None:
        context.load_cert_chain(sink.certificate_file, sink.certificate_key_file)
    return context
