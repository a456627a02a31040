"""One POST to a witness: over HTTP, or HTTPS with the certificates that were given."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from urllib.parse import urlsplit

SECONDS = 20.0  # of one request
_LONGEST = 1 << 16  # bytes of an answer

Post = Callable[[bytes], tuple[int, bytes]]
"""Sends a body; status and content of the answer, cut where it is too long. Raises OSError and HTTPException."""


def poster(url: str, content_type: str, ca_file: Path | None, client: tuple[Path, Path] | None = None) -> Post:
    """Posts to this address; `client` is a certificate and its key, for a witness that asks for one. Redirects are not followed."""
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
            connection.request("POST", target, body, {"Content-Type": content_type})
            response = connection.getresponse()
            return response.status, response.read(_LONGEST + 1)
        finally:
            connection.close()

    return post
