"""A loopback Vault: transit that really encrypts (AES-256-GCM, versions of a key), AppRole, and the ways it refuses."""

from __future__ import annotations

import base64
import json
import os
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

TOKEN = "hvs.synthetic-token"
ROLE_ID, SECRET_ID = "synthetic-role", "synthetic-secret"


class FakeVault:
    """Serves /v1/… at `address`; `received` are (path, token, namespace) of each call. Its switches are public."""

    def __init__(self, certificate: tuple[str, str] | None = None) -> None:
        self.keys: dict[str, list[bytes]] = {"llm-audit": [os.urandom(32)]}
        self.tokens = {TOKEN}
        self.allowed = {"encrypt", "decrypt", "rewrap"}
        self.sealed = False
        self.status: int | None = None  # answered whatever is asked
        self.location: str | None = None  # redirects there
        self.garbage: bytes | None = None
        self.silent: threading.Event | None = None  # answers only when it is set
        self.received: list[tuple[str, str, str]] = []
        self.revoked: list[str] = []
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        if certificate is not None:
            self._server.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._server.context.load_cert_chain(*certificate)
        scheme = "http" if certificate is None else "https"
        self.address = f"{scheme}://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.silent is not None:
            self.silent.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def rotate(self, name: str = "llm-audit") -> None:
        self.keys[name].append(os.urandom(32))

    def answer(self, path: str, token: str, body: dict) -> tuple[int, dict]:  # noqa: PLR0911  (one a way to refuse)
        if self.sealed:
            return 503, {"errors": ["Vault is sealed"]}
        if self.status is not None:
            return self.status, {"errors": ["synthetic"]}
        if path == "auth/approle/login":
            if (body.get("role_id"), body.get("secret_id")) != (ROLE_ID, SECRET_ID):
                return 400, {"errors": ["invalid role or secret ID"]}
            fresh = f"hvs.role-{len(self.tokens)}"
            self.tokens.add(fresh)
            return 200, {"auth": {"client_token": fresh, "lease_duration": 60, "renewable": True}}
        if token not in self.tokens:
            return 403, {"errors": ["permission denied"]}
        if path == "auth/token/revoke-self":
            self.tokens.remove(token)
            self.revoked.append(token)
            return 204, {}
        mount, act, name = ([*path.split("/"), "", ""])[:3]
        if mount != "transit":
            return 404, {"errors": ["no handler for route"]}
        if act not in self.allowed:
            return 403, {"errors": ["permission denied"]}
        if name not in self.keys:
            return 400, {"errors": ["encryption key not found"]}
        try:
            return 200, {"data": getattr(self, f"_{act}")(self.keys[name], body)}
        except (InvalidTag, ValueError, IndexError):
            return 400, {"errors": ["cipher: message authentication failed"]}

    def _encrypt(self, versions: list[bytes], body: dict) -> dict:
        plain = base64.b64decode(body["plaintext"], validate=True)
        nonce = os.urandom(12)
        sealed = nonce + AESGCM(versions[-1]).encrypt(nonce, plain, None)
        version = len(versions)
        return {"ciphertext": f"vault:v{version}:{base64.b64encode(sealed).decode()}", "key_version": version}

    def _decrypt(self, versions: list[bytes], body: dict) -> dict:
        prefix, version, encoded = body["ciphertext"].split(":", 2)
        sealed = base64.b64decode(encoded, validate=True)
        if prefix != "vault" or int(version[1:]) < 1:
            raise ValueError
        plain = AESGCM(versions[int(version[1:]) - 1]).decrypt(sealed[:12], sealed[12:], None)
        return {"plaintext": base64.b64encode(plain).decode()}

    def _rewrap(self, versions: list[bytes], body: dict) -> dict:
        return self._encrypt(versions, self._decrypt(versions, body))


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # closing waits for each
    context: ssl.SSLContext | None = None

    def finish_request(self, request, client_address) -> None:
        if self.context is None:
            super().finish_request(request, client_address)
            return
        with self.context.wrap_socket(request, server_side=True) as secure:
            super().finish_request(secure, client_address)

    def handle_error(self, request, client_address) -> None:
        """A client that does not trust us, or waits no longer, hangs up."""


def _handler(vault: FakeVault) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 5  # of a connection that nobody uses any more

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
            token, namespace = self.headers.get("X-Vault-Token", ""), self.headers.get("X-Vault-Namespace", "")
            path = self.path.removeprefix("/v1/")
            vault.received.append((path, token, namespace))
            if vault.silent is not None:
                vault.silent.wait()
            status, answer = vault.answer(path, token, body)
            if vault.location is not None:
                status = 307
            content = vault.garbage or (json.dumps(answer).encode() if status != 204 else b"")
            self.send_response(status)
            if vault.location is not None:
                self.send_header("Location", vault.location + self.path)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_PUT(self) -> None:
            self.do_POST()

        def log_message(self, *_: object) -> None:
            pass

    return Handler
