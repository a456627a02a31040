"""A certificate authority for the tests: vouches for servers on 127.0.0.1 by address."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat


class Authority:
    """Its certificate lies in `ca_file`; keys and what it signed beside it, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.ca_file = folder / "ca.pem"
        self._folder = folder
        self._key = generate_private_key(SECP256R1())
        self.ca_file.write_bytes(self._signed("Test CA", self._key, ca=True))

    def server_context(self) -> ssl.SSLContext:
        """For a server on 127.0.0.1."""
        key = generate_private_key(SECP256R1())
        chain = self._folder / "server.pem"
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        chain.write_bytes(private + self._signed("Test Server", key, ca=False))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain)
        return context

    def _signed(self, name: str, key: EllipticCurvePrivateKey, *, ca: bool) -> bytes:
        now = datetime.now(UTC)
        common = x509.NameOID.COMMON_NAME
        builder = x509.CertificateBuilder(
            issuer_name=x509.Name([x509.NameAttribute(common, "Test CA")]),
            subject_name=x509.Name([x509.NameAttribute(common, name)]),
            public_key=key.public_key(),
            serial_number=x509.random_serial_number(),
            not_valid_before=now - timedelta(days=1),
            not_valid_after=now + timedelta(days=1),
        ).add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        if not ca:
            names = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)
