"""One connection, from here or through the egress broker."""

from __future__ import annotations

import asyncio
import ssl

from providers import connect


async def open_stream(
    host: str, port: int, tls: ssl.SSLContext | None, broker: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to host:port; `broker` is the socket of the egress broker, "" without one. Raises OSError."""
    if not broker:
        return await asyncio.open_connection(host, port, ssl=tls)
    connection = await connect(broker, host, port, inside=False)
    try:
        return await asyncio.open_unix_connection(
            sock=connection, ssl=tls, server_hostname=host if tls is not None else None
        )
    except BaseException:
        connection.close()
        raise
