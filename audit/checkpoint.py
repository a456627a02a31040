"""Checkpoints: C2SP tlog-checkpoint bodies in C2SP signed notes, Ed25519 (RFC 8032).

A checkpoint is three lines — origin, size in decimal, root in base64 — and, after an empty line, a signature line
`— origin base64(key id ‖ signature)`. A verifier key is the text `name+hex(key id)+base64(0x01 ‖ public key)`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from audit.errors import KeyFileError, VerificationError
from audit.keyfiles import create_file, read_key

_ED25519 = b"\x01"
_ORIGIN = re.compile(r"[^\s+\x00-\x1f\x7f]{1,255}")
_MAX_NOTE = 16_384  # bytes; a note is a few hundred


class Checkpoint(msgspec.Struct, frozen=True):
    """The state of a log that somebody signed."""

    origin: str
    size: int
    root: bytes


class Signer:
    """The log's signing key with its name."""

    def __init__(self, key: Ed25519PrivateKey, origin: str) -> None:
        self._key = key
        self._origin = origin
        public = key.public_key().public_bytes_raw()
        self._key_id = _key_id(origin, public)
        self.verifier_key = f"{origin}+{self._key_id.hex()}+{base64.b64encode(_ED25519 + public).decode()}"

    def sign(self, size: int, root: bytes) -> str:
        """The signed note of a tree."""
        body = f"{self._origin}\n{size}\n{base64.b64encode(root).decode()}\n"
        signature = base64.b64encode(self._key_id + self._key.sign(body.encode())).decode()
        return f"{body}\n— {self._origin} {signature}\n"


class VerifierKey:
    """A public key as auditors hold it."""

    def __init__(self, text: str) -> None:
        """Raises KeyFileError for anything but one C2SP verifier key of Ed25519."""
        try:
            self.name, key_id, encoded = text.strip().split("+", 2)
            decoded = base64.b64decode(encoded, validate=True)
            if decoded[:1] != _ED25519 or len(decoded) != 33 or _key_id(self.name, decoded[1:]).hex() != key_id.lower():
                raise ValueError
            self._public = Ed25519PublicKey.from_public_bytes(decoded[1:])
        except ValueError:
            raise KeyFileError(
                "открытый ключ проверки не разобран: нужна строка вида `имя+номер+base64` (C2SP, Ed25519)"
            ) from None
        self._key_id = bytes.fromhex(key_id)

    def verify(self, note: str) -> Checkpoint:
        """The checkpoint in a note, if this key signed it. Raises VerificationError."""
        body, _, signatures = note.partition("\n\n")
        body += "\n"
        for line in signatures.splitlines():
            mark, _, rest = line.partition(" ")
            name, _, encoded = rest.partition(" ")
            if mark != "—" or name != self.name:
                continue
            try:
                decoded = base64.b64decode(encoded, validate=True)
                # Of the encodings of the same bytes only one is good: no bit of a note may be changed unnoticed.
                if decoded[:4] == self._key_id and base64.b64encode(decoded).decode() == encoded:
                    self._public.verify(decoded[4:], body.encode())
                    return _parse(body, self.name)
            except (InvalidSignature, binascii.Error):
                break
        raise VerificationError("контрольная точка не подписана этим ключом")


def _parse(body: str, name: str) -> Checkpoint:
    lines = body.split("\n")
    try:
        origin, size, root = lines[0], lines[1], base64.b64decode(lines[2], validate=True)
        if origin != name or not re.fullmatch(r"0|[1-9][0-9]{0,18}", size) or len(root) != 32:
            raise ValueError
    except (IndexError, ValueError):
        raise VerificationError("контрольная точка записана неверно") from None
    return Checkpoint(origin, int(size), root)


def _key_id(name: str, public: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + _ED25519 + public).digest()[:4]


def create_signing_key(path: Path, origin: str) -> None:
    """Write a fresh Ed25519 seed (32 bytes) and, beside it with the suffix `.pub`, the verifier key for auditors."""
    if not _ORIGIN.fullmatch(origin):
        raise KeyFileError("имя журнала: без пробелов и `+`, до 255 знаков")
    key = Ed25519PrivateKey.generate()
    seed = key.private_bytes(serialization.Encoding.Raw, serialization.PrivateFormat.Raw, serialization.NoEncryption())
    create_file(path, seed, 0o600)
    create_file(path.with_suffix(".pub"), (Signer(key, origin).verifier_key + "\n").encode(), 0o644)


def load_signer(path: Path, origin: str) -> Signer:
    """The key in a file. Raises KeyFileError."""
    return Signer(Ed25519PrivateKey.from_private_bytes(read_key(path)), origin)


def check_signing_key(path: Path) -> None:
    """Raises KeyFileError when the file cannot be used."""
    read_key(path)
