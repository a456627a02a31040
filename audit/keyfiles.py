"""Key files: created once, for their owner alone; refused when others can read them."""

from __future__ import annotations

import base64
import binascii
import os
import secrets
import stat
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.checkpoint import COSIGNATURE, SIGNATURE, Signer, VerifierKey, is_key_name
from audit.cosignature import Witnesser
from audit.errors import KeyFileError

KEK_SIZE = 32
_SIGNING_PREFIX = "PRIVATE+KEY"  # the form of Go's sumdb/note; C2SP fixes the public form only
_MAX_FILE = 4096


def create_kek(path: Path) -> None:
    """Create a key-encryption key of 32 random bytes, mode 0600. Raises KeyFileError; never overwrites."""
    _create(path, os.urandom(KEK_SIZE), 0o600)


def create_signing_key(path: Path, origin: str) -> None:
    """Create an Ed25519 signing key named `origin`, and its public half beside it under the suffix `.pub`.

    The public file is what auditors get. Raises KeyFileError; never overwrites either file.
    """
    _create_pair(path, origin, SIGNATURE)


def create_witness_key(path: Path, name: str) -> None:
    """Create a witness's key, and its public half beside it under `.pub`. Raises KeyFileError; never overwrites either file."""
    _create_pair(path, name, COSIGNATURE)


def subject_keys_beside(kek_file: Path) -> Path:
    """Where the file of subjects' keys lies unless it was said otherwise."""
    return kek_file.with_name(f"{kek_file.stem}-subjects.json")


def load_kek(path: Path) -> bytes:
    """The key-encryption key. Raises KeyFileError."""
    key = read_key_file(path)
    if len(key) != KEK_SIZE:
        raise KeyFileError(f"`{path}`: в файле ключа {len(key)} байт, нужно {KEK_SIZE}")
    return key


def load_signing_key(path: Path) -> Signer:
    """The signing key. Raises KeyFileError."""
    return Signer(*_private(path, SIGNATURE, "это не ключ подписи журнала"))


def load_witness_key(path: Path) -> Witnesser:
    """A witness's key. Raises KeyFileError."""
    return Witnesser(*_private(path, COSIGNATURE, "это не ключ свидетеля"))


def parse_signing_key(line: bytes, path: Path) -> tuple[str, bytes]:
    """Name and seed of a signing key in a line of a file. Raises KeyFileError."""
    return _parsed(line, path, SIGNATURE, "это не ключ подписи журнала")


def signing_key_line(name: str, seed: bytes, kind: bytes = SIGNATURE) -> str:
    """A private key as its file has it."""
    encoded = base64.b64encode(kind + seed).decode()
    return f"{_SIGNING_PREFIX}+{name}+{_public_of(name, kind, seed).key_id.hex()}+{encoded}\n"


def _private(path: Path, kind: bytes, otherwise: str) -> tuple[str, bytes]:
    """Name and seed. Raises KeyFileError."""
    return _parsed(read_key_file(path), path, kind, otherwise)


def _parsed(content: bytes, path: Path, kind: bytes, otherwise: str) -> tuple[str, bytes]:
    malformed = KeyFileError(f"`{path}`: {otherwise}")
    try:
        # Base64 may hold plus signs, a name may not: split from the left.
        private, key, name, key_id, encoded = content.decode("utf-8").removesuffix("\n").split("+", 4)
        material = base64.b64decode(encoded, validate=True)
    except (UnicodeDecodeError, ValueError, binascii.Error):
        raise malformed from None
    if f"{private}+{key}" != _SIGNING_PREFIX or not is_key_name(name) or len(material) != 33 or material[:1] != kind:
        raise malformed
    seed = material[1:]
    if _public_of(name, kind, seed).key_id.hex() != key_id:
        raise malformed
    return name, seed


def _create_pair(path: Path, name: str, kind: bytes) -> None:
    if not is_key_name(name):
        raise KeyFileError(f"`{name}`: имя не может быть пустым, содержать пробелы или знак `+`")
    public = path.with_suffix(".pub")
    if public == path or public.exists():
        raise KeyFileError(f"`{public}`: такой файл уже есть; ключ не перезаписывается")
    seed = os.urandom(32)
    key = _public_of(name, kind, seed)
    _create(path, signing_key_line(name, seed, kind).encode(), 0o600)
    _create(public, (key.vkey + "\n").encode(), 0o644)


def _public_of(name: str, kind: bytes, seed: bytes) -> VerifierKey:
    return VerifierKey(name, kind, Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw())


def check_kek(path: Path) -> None:
    """Raise KeyFileError unless `load_kek` would succeed."""
    load_kek(path)


def check_signing_key(path: Path) -> None:
    """Raise KeyFileError unless `load_signing_key` would succeed."""
    load_signing_key(path)


def _create(path: Path, content: bytes, mode: int) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise KeyFileError(f"`{path.parent}`: каталог для ключа не создаётся ({error.strerror})") from None
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    except FileExistsError:
        raise KeyFileError(f"`{path}`: такой файл уже есть; ключ не перезаписывается") from None
    except OSError as error:
        raise KeyFileError(f"`{path}`: файл ключа не создаётся ({error.strerror})") from None
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_key_file(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Put a new file in place of the old one, durably, then overwrite what the old one held. Raises KeyFileError.

    A file system that copies on write, and a drive that spares its cells, may keep the old bytes all the same.
    """
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        old = os.open(path, os.O_WRONLY | os.O_CLOEXEC) if path.exists() else None
        try:
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
            with os.fdopen(descriptor, "wb") as file:
                os.fchmod(descriptor, mode)
                file.write(content)
                file.flush()
                os.fsync(descriptor)
            fresh.replace(path)
            sync_folder(path.parent)
            if old is not None:
                os.write(old, bytes(os.fstat(old).st_size))
                os.fsync(old)
        finally:
            if old is not None:
                os.close(old)
            fresh.unlink(missing_ok=True)
    except OSError as error:
        raise KeyFileError(f"`{path}`: файл ключа не записан ({error.strerror})") from None


def read_key_file(path: Path) -> bytes:
    """What a file for its owner alone holds. Raises KeyFileError."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            content = file.read(_MAX_FILE) if stat.S_ISREG(status.st_mode) else b""
    except OSError as error:
        raise KeyFileError(f"`{path}`: файл ключа не читается ({error.strerror}); проверьте путь и права") from None
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise KeyFileError(f"`{path}`: файл ключа доступен не только владельцу; выполните `chmod 600 {path}`")
    if not content:
        raise KeyFileError(f"`{path}`: файл ключа пуст или это не файл")
    return content
