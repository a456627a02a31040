"""Checkpoints: the size and root of the tree in a C2SP signed note (c2sp.org/signed-note, c2sp.org/tlog-checkpoint)."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Struct

from audit.errors import Finding, KeyFileError, VerificationError
from audit.merkle import HASH_SIZE

MAX_NOTE = 1 << 16  # characters; room for cosignatures, and for post-quantum ones
SIGNATURE, COSIGNATURE = b"\x01", b"\x04"  # types of keys, c2sp.org/signed-note
_NAME = re.compile(r"[^\s+\x00-\x1f\x7f]+")
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_P = 2**255 - 19
_D = -121665 * pow(121666, -1, _P) % _P
_ORDER_8 = int.from_bytes(bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little")
_SMALL_ORDER = {0, 1, _P - 1, _ORDER_8, _P - _ORDER_8}  # the y of all eight points
_SIGNATURE_PREFIX = "— "


class Checkpoint(Struct, frozen=True):
    """What a signature covers: the first `size` leaves of the log `origin` have this `root`."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """The note's text."""
        return f"{self.origin}\n{self.size}\n{_encode(self.root)}\n"


class VerifierKey(Struct, frozen=True):
    """A public key with the name it signs for, as c2sp.org/signed-note writes it. `public` is 32 bytes of Ed25519."""

    name: str
    kind: bytes
    public: bytes

    @classmethod
    def parse(cls, vkey: str, kind: bytes) -> VerifierKey:
        """The key in `<name>+<key id>+<base64>`. Raises KeyFileError."""
        name, _, rest = vkey.strip().partition("+")
        key_id, _, encoded = rest.partition("+")
        material = _decode(encoded)
        if not is_key_name(name) or material is None or len(material) != 33 or material[:1] != kind:
            what = "журнала" if kind == SIGNATURE else "свидетеля"
            raise KeyFileError(f"это не открытый ключ {what}; нужна строка вида `имя+номер+base64`")
        if not _is_usable(material[1:]):
            raise KeyFileError("это не открытый ключ Ed25519: такой точки на кривой нет, или она негодная")
        key = cls(name, kind, material[1:])
        if key.key_id.hex() != key_id:
            raise KeyFileError("открытый ключ повреждён: номер не соответствует ключу")
        return key

    @property
    def key_id(self) -> bytes:
        """The first four bytes of a hash over name and key."""
        return sha256(self.name.encode() + b"\n" + self.kind + self.public).digest()[:4]

    @property
    def vkey(self) -> str:
        """The key as one line of text."""
        return f"{self.name}+{self.key_id.hex()}+{_encode(self.kind + self.public)}"


class Verifier:
    """The public half of a signing key: what an auditor is given."""

    def __init__(self, name: str, public_key: bytes) -> None:
        self.name = name
        self.key = VerifierKey(name, SIGNATURE, public_key)
        self.key_id = self.key.key_id
        self._public_key = Ed25519PublicKey.from_public_bytes(public_key)

    @classmethod
    def parse(cls, vkey: str) -> Verifier:
        """The key in `<name>+<key id>+<base64>`, or in the first of two such lines: a log's `.pub` has both. Raises KeyFileError."""
        lines = [line for line in vkey.splitlines() if line.strip()] or [""]
        key = VerifierKey.parse(lines[0] if len(lines) <= 2 else "", SIGNATURE)
        return cls(key.name, key.public)

    @property
    def vkey(self) -> str:
        """The key as one line of text."""
        return self.key.vkey

    def is_signature(self, line: str) -> bool:
        """Whether a signature line claims to be of this key: same name, same key id."""
        blob = _signature(line, self.name)
        return blob is not None and blob[:4] == self.key_id

    def verify(self, note: str) -> str:
        """The text of a note that this key signed. Raises VerificationError."""
        text, lines = split_note(note)
        ours = [line for line in lines if self.is_signature(line)]
        if not ours:
            raise _error("контрольная точка не подписана этим ключом")
        for line in ours:
            blob = _signature(line, self.name)
            try:
                self._public_key.verify(b"" if blob is None else blob[4:], text.encode())
            except InvalidSignature:
                raise _error("подпись контрольной точки неверна") from None
        return text

    def open_checkpoint(self, note: str) -> Checkpoint:
        """The checkpoint in a note that this key signed. Raises VerificationError."""
        checkpoint = parse_checkpoint(self.verify(note))
        if checkpoint.origin != self.name:
            raise _error("контрольная точка другого журнала")
        return checkpoint


class Signer:
    """An Ed25519 signing key with the name of the log it signs for."""

    def __init__(self, name: str, seed: bytes) -> None:
        self._private_key = Ed25519PrivateKey.from_private_bytes(seed)
        self.seed = seed
        self.verifier = Verifier(name, self._private_key.public_key().public_bytes_raw())

    @property
    def name(self) -> str:
        """The origin this key signs for."""
        return self.verifier.name

    def sign(self, text: str) -> str:
        """The signed note over a text that ends with a line feed."""
        return f"{text}\n{self.line(text)}"

    def line(self, text: str) -> str:
        """The signature line over a text, line feed included."""
        return signature_line(self.verifier.key, self._private_key.sign(text.encode()))

    def sign_checkpoint(self, size: int, root: bytes) -> str:
        """The signed note over a tree of this log."""
        return self.sign(Checkpoint(self.name, size, root).text())


def parse_checkpoint(text: str) -> Checkpoint:
    """The checkpoint in a note's text; extension lines are allowed and not kept. Raises VerificationError."""
    lines = text.split("\n")
    if len(lines) < 4 or lines[-1] != "" or not all(lines[:-1]):
        raise _error("контрольная точка не по форме")
    origin, size, encoded = lines[:3]
    root = _decode(encoded)
    if _SIZE.fullmatch(size, endpos=len(size)) is None or root is None or len(root) != HASH_SIZE:
        raise _error("контрольная точка не по форме")
    return Checkpoint(origin, int(size), root)


def _is_usable(public: bytes) -> bool:
    """Whether these 32 bytes are a point of edwards25519 in its one spelling, and none of small order (RFC 8032 section 5.1.3)."""
    y = int.from_bytes(public, "little") & ~(1 << 255)
    if y >= _P or y in _SMALL_ORDER:
        return False
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    return pow(square, (_P - 1) // 2, _P) == 1


def is_key_name(name: str) -> bool:
    """Whether a signed note can carry this key name: no white space, no plus sign, not empty."""
    return _NAME.fullmatch(name) is not None


def split_note(note: str) -> tuple[str, list[str]]:
    """The text that is signed, and the signature lines. Raises VerificationError."""
    if len(note) > MAX_NOTE or any(character < " " and character != "\n" for character in note):
        raise _error("контрольная точка не по форме")
    text, blank, signatures = note.rpartition("\n\n")
    lines = signatures.split("\n")
    if not text or not blank or len(lines) < 2 or lines[-1] != "":
        raise _error("контрольная точка не по форме")
    if any(_signature(line) is None for line in lines[:-1]):
        raise _error("строка подписи не по форме")
    return text + "\n", lines[:-1]


def _signature(line: str, name: str | None = None) -> bytes | None:
    """Key id and signature of a well-formed line (of this key name, when given)."""
    if not line.startswith(_SIGNATURE_PREFIX):
        return None
    signer, space, encoded = line.removeprefix(_SIGNATURE_PREFIX).partition(" ")
    blob = _decode(encoded)
    if not space or not is_key_name(signer) or blob is None or len(blob) < 5:
        return None
    return blob if name is None or signer == name else None


def signature_line(key: VerifierKey, signature: bytes) -> str:
    """One line of a signed note, line feed included."""
    return f"{_SIGNATURE_PREFIX}{key.name} {_encode(key.key_id + signature)}\n"


def signatures_by(key: VerifierKey, lines: Sequence[str]) -> list[bytes]:
    """What the lines of this key hold after its id."""
    blobs = [_signature(line, key.name) for line in lines]
    return [blob[4:] for blob in blobs if blob is not None and blob[:4] == key.key_id]


def _encode(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _decode(text: str) -> bytes | None:
    """Strict base64: the one canonical spelling of the bytes, so that no bit of a note is without meaning."""
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return value if _encode(value) == text else None


def _error(message: str) -> VerificationError:
    return VerificationError(message, Finding.SIGNATURE)
