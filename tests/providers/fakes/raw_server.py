"""A loopback server that answers each connection with scripted bytes: for what no HTTP library would send."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

Answer = Callable[[int, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class RawServer:
    """Calls `answer(number of the connection, reader, writer)` and closes the connection after it."""

    def __init__(self, answer: Answer):
        self.answer = answer
        self.base_url = ""
        self.connections = 0

    async def _connected(self, reader, writer):
        self.connections += 1
        try:
            await self.answer(self.connections, reader, writer)
        finally:
            writer.close()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["RawServer"]:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        async with server:
            yield self


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """Headers and body of one request."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line.split(b":")[1]) for line in head.splitlines() if line.lower().startswith(b"content-length"))
    return head + await reader.readexactly(length)
