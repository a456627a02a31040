"""Files with 32-byte keys: created once for their owner alone, refused when others may read them."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from audit.errors import KeyFileError

KEY_SIZE = 32


def create_file(path: Path, content: bytes, mode: int) -> None:
    """Create a file, never overwrite one, and make it durable. Raises KeyFileError."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except OSError as error:
        raise KeyFileError(f"`{path}`: файл ключа не создан ({error.strerror})") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def create_kek(path: Path) -> None:
    """Write a fresh key-encryption key."""
    create_file(path, secrets.token_bytes(KEY_SIZE), 0o600)


def read_key(path: Path) -> bytes:
    """The 32 bytes in a file. Raises KeyFileError: missing, open to others, empty, wrong size."""
    try:
        mode = path.stat().st_mode
        content = path.read_bytes()
    except OSError as error:
        raise KeyFileError(f"`{path}`: файл ключа не читается ({error.strerror}); проверьте путь и права") from None
    if stat.S_IMODE(mode) & 0o077:
        raise KeyFileError(f"`{path}`: файл ключа доступен не только владельцу; выполните `chmod 600 {path}`")
    if len(content) != KEY_SIZE:
        raise KeyFileError(f"`{path}`: в файле ключа {len(content)} байт, нужно {KEY_SIZE}")
    return content


def check_kek(path: Path) -> None:
    """Raises KeyFileError when the file cannot be used."""
    read_key(path)
