"""The way to a Vault through the egress broker, for the HTTP client that hvac uses. Imported only where that client is installed."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import NewConnectionError

from providers import connect_now

if TYPE_CHECKING:
    import requests


def lead_through(session: requests.Session, broker: str, seconds: float) -> None:
    """Every connection of the session is asked of the broker from here on; `seconds` for each step of it."""
    adapter = HTTPAdapter()
    adapter.poolmanager.pool_classes_by_scheme = _pools(broker, seconds)
    for scheme in ("http://", "https://"):
        session.mount(scheme, adapter)


def _pools(broker: str, seconds: float) -> dict[str, type[HTTPConnectionPool]]:
    def asked(connection: HTTPConnection) -> socket.socket:
        try:
            return connect_now(broker, connection.host, connection.port or 0, seconds=seconds)
        except OSError as error:
            raise NewConnectionError(connection, str(error)) from error

    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return asked(self)

    class Secure(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return asked(self)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}
