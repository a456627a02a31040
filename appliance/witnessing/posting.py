"""One POST to a witness: over HTTP, or HTTPS with the certificates that were given."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from urllib.parse import urlsplit

from providers import connect_now

SECONDS = 20.0  # of one request
_LONGEST = 1 << 16  # bytes of an answer

Post = Callable[[bytes], tuple[int, bytes]]
"""Sends a body; status and content of the answer, cut where it is too long. Raises OSError and HTTPException."""


def poster(
    url: str, content_type: str, ca_file: Path | None, client: tuple[Path, Path] | None = None, broker: str = ""
) -> Post:
    """Posts to this address; `client` is a certificate and its key, for a witness that asks for one. Redirects are not followed.

    `broker`: the socket of the egress broker that connections are asked of; "" without one.
    """
    address = urlsplit(url)
    tls = ssl.create_default_context(cafile=ca_file) if address.scheme == "https" else None
    if tls is not None and client is not None:
        tls.load_cert_chain(*client)
    target = (address.path or "/") + (f"?{address.query}" if address.query else "")

    def post(body: bytes) -> tuple[int, bytes]:
        host = address.hostname or ""
        connection: HTTPConnection
        if tls is None:
            connection = HTTPConnection(host, address.port, timeout=SECONDS)
        else:
            connection = HTTPSConnection(host, address.port, timeout=SECONDS, context=tls)
        try:
            if broker:
                asked = connect_now(broker, host, connection.port, seconds=SECONDS)
                connection.sock = asked if tls is None else _secured(asked, tls, host)
            connection.request("POST", target, body, {"Content-Type": content_type})
            response = connection.getresponse()
            return response.status, response.read(_LONGEST + 1)
        finally:
            connection.close()

    return post


def _secured(connection: socket.socket, tls: ssl.SSLContext, host: str) -> ssl.SSLSocket:
    """TLS over what the broker opened; closed when that fails. Raises OSError."""
    try:
        return tls.wrap_socket(connection, server_hostname=host)
    except BaseException:
        connection.close()
        raise
