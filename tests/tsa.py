"""A time-stamping authority for the tests: OpenSSL's `ts` behind a loopback HTTP server, with certificates made for it."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

SERVICE = """\
[tsa]
default_tsa = service
[service]
serial = {folder}/serial
crypto_device = builtin
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
certs = {folder}/ca.pem
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha512
"""
STAMPING, SERVING = x509.ExtendedKeyUsageOID.TIME_STAMPING, x509.ExtendedKeyUsageOID.SERVER_AUTH
NOW = datetime.now(UTC)
VALID = NOW - timedelta(days=10), NOW + timedelta(days=10)
LONG_AGO = NOW - timedelta(days=1000), NOW - timedelta(days=900)


class Authority:
    """Keys and certificates in a folder; `ca` is what its tokens are trusted by. `valid`: from when until when its own certificate is."""

    def __init__(self, folder: Path, name: str = "Test TSA", valid: tuple[datetime, datetime] = VALID) -> None:
        folder.mkdir()
        self.folder = folder
        self.ca = folder / "ca.pem"
        (folder / "serial").write_text("01\n")
        (folder / "service").write_text(SERVICE.format(folder=folder))
        issuer = generate_private_key(SECP256R1())
        years = NOW - timedelta(days=2000), NOW + timedelta(days=2000)
        self._issuer = f"{name} CA"
        self._certify("ca", issuer, issuer, self._issuer, years, None)
        self._certify("tsa", generate_private_key(SECP256R1()), issuer, name, valid, STAMPING)
        self._certify("other", generate_private_key(SECP256R1()), issuer, "Test Server", valid, SERVING)

    def stamp(self, query: bytes) -> bytes:
        """The reply to a query, DER."""
        (self.folder / "query").write_bytes(query)
        self._openssl("ts", "-reply", "-config", "service", "-queryfile", "query", "-out", "reply")
        return (self.folder / "reply").read_bytes()

    def stamp_otherwise(self, query: bytes, *, signer: str = "tsa", ahead: timedelta = timedelta()) -> bytes:
        """The same, by a clock that is ahead, or signed by the certificate that is for servers (`other`)."""
        self.stamp(query)
        self._openssl("ts", "-reply", "-in", "reply", "-token_out", "-out", "token")
        self._openssl("cms", "-verify", "-noverify", "-inform", "DER", "-in", "token", "-out", "info", "-binary")
        info = (self.folder / "info").read_bytes()
        at = info.index(b"\x18\x0f") + 2  # GeneralizedTime
        moment = datetime.strptime(info[at : at + 15].decode(), "%Y%m%d%H%M%SZ").replace(tzinfo=UTC) + ahead
        (self.folder / "info").write_bytes(info[:at] + moment.strftime("%Y%m%d%H%M%SZ").encode() + info[at + 15 :])
        signing = ("-signer", f"{signer}.pem", "-inkey", f"{signer}.key", "-md", "sha256", "-cades")
        kind = ("-econtent_type", "1.2.840.113549.1.9.16.1.4")
        form = ("-binary", "-nodetach", "-nosmimecap", "-outform", "DER")
        self._openssl("cms", "-sign", "-in", "info", *signing, *kind, *form, "-out", "token")
        content = bytes.fromhex("3003020100") + (self.folder / "token").read_bytes()
        return b"\x30\x82" + len(content).to_bytes(2) + content

    def _openssl(self, *arguments: str) -> None:
        done = subprocess.run(["openssl", *arguments], cwd=self.folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def _certify(
        self,
        file: str,
        key: EllipticCurvePrivateKey,
        issuer: EllipticCurvePrivateKey,
        name: str,
        valid: tuple[datetime, datetime],
        usage: x509.ObjectIdentifier | None,
    ) -> None:
        common = x509.NameOID.COMMON_NAME
        certificate = x509.CertificateBuilder(
            issuer_name=x509.Name([x509.NameAttribute(common, self._issuer)]),
            subject_name=x509.Name([x509.NameAttribute(common, name)]),
            public_key=key.public_key(),
            serial_number=x509.random_serial_number(),
            not_valid_before=valid[0],
            not_valid_after=valid[1],
        ).add_extension(x509.BasicConstraints(ca=usage is None, path_length=None), critical=True)
        if usage is not None:
            certificate = certificate.add_extension(x509.ExtendedKeyUsage([usage]), critical=True)
        signed = certificate.sign(issuer, hashes.SHA256())
        (self.folder / f"{file}.pem").write_bytes(signed.public_bytes(Encoding.PEM))
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (self.folder / f"{file}.key").write_bytes(private)


class Server:
    """What answers to queries; `answer` may be replaced: query → status and body."""

    def __init__(self, authority: Authority) -> None:
        self.authority = authority
        self.asked: list[bytes] = []
        self.answer: Callable[[bytes], tuple[int, bytes]] = lambda query: (200, authority.stamp(query))
        self.url = ""


@contextmanager
def serving(authority: Authority) -> Iterator[Server]:
    """The authority on 127.0.0.1, one query at a time."""
    served = Server(authority)
    turn = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.headers["Content-Type"] == "application/timestamp-query"
            with turn:
                served.asked.append(query)
                status, body = served.answer(query)
            self.send_response(status)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.url = f"http://127.0.0.1:{server.server_port}/tsr"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
