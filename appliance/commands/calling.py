"""Calling a running service over HTTP, as the commands do that need it to be running."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import click

from appliance.commands.options import fail
from appliance.errors import SettingsError
from appliance.keyfiles import read_secret

_F = TypeVar("_F", bound=Callable[..., object])


def at_a_service(command: _F) -> _F:
    """Adds `--url` and `--ca-file`; the command gets them as `url` and `ca_file`."""
    command = click.option(
        "--ca-file", type=click.Path(path_type=Path, exists=True), default=None, help="Центр сертификации для https."
    )(command)
    return click.option("--url", default="http://127.0.0.1:8080", show_default=True, help="Адрес сервиса.")(command)


class Service:
    """A running service, and the key to it. The process exits with words when the address or the key file cannot be used."""

    def __init__(
        self, url: str, key_file: Path, ca_file: Path | None, headers: Mapping[str, str], timeout: float
    ) -> None:
        self._address = urlsplit(url)
        if self._address.scheme not in ("http", "https") or not self._address.hostname:
            fail(f"`{url}` — не адрес http или https")
        self._headers = {"Authorization": f"Bearer {_key(key_file)}", "Content-Type": "application/json", **headers}
        self._ca_file = ca_file
        self._timeout = timeout

    @contextmanager
    def sent(self, path: str, body: object) -> Iterator[HTTPResponse]:
        """The answer to a POST, without a body to a GET. Raises OSError and HTTPException when there is none."""
        host, port = self._address.hostname or "", self._address.port
        if self._address.scheme == "https":
            tls = ssl.create_default_context(cafile=self._ca_file)
            connection: HTTPConnection = HTTPSConnection(host, port, timeout=self._timeout, context=tls)
        else:
            connection = HTTPConnection(host, port, timeout=self._timeout)
        try:
            content = None if body is None else json.dumps(body).encode()
            method = "GET" if content is None else "POST"
            connection.request(method, self._address.path.rstrip("/") + path, content, self._headers)
            yield connection.getresponse()
        finally:
            connection.close()

    def asked(self, path: str, body: object) -> dict[str, Any]:
        """What the service answers, with the number of its record as `_record`; exits with its words when it refuses."""
        try:
            with self.sent(path, body) as response:
                content = response.read()
                record = response.headers["X-Audit-Record"]
        except (OSError, HTTPException) as error:
            fail(f"сервис не ответил ({type(error).__name__}): он запущен? См. --url")
        try:
            document = json.loads(content)
            words = "" if response.status == 200 else document["error"]["message"]
        except (ValueError, KeyError, TypeError):
            document, words = {}, "ответ сервиса не удалось прочитать"
        if words:
            fail(f"{response.status}: {plain(words)}")
        return {**document, "_record": record}


def plain(text: str) -> str:
    """Text that cannot command the terminal: an answer is somebody else's words."""
    return "".join(character for character in text if character.isprintable() or character in "\n\t")


def _key(path: Path) -> str:
    try:
        return read_secret(path).decode("ascii").strip()
    except SettingsError as error:
        fail(*error.problems)
    except UnicodeDecodeError:
        fail(f"`{path}`: это не ключ API")
