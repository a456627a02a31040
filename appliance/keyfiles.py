"""Files that hold a secret: written once for their owner alone, refused when others can read them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from appliance.errors import SettingsError
from appliance.kek.secret_files import is_credential

KEY_SIZE = 32  # bytes of a raw key


def write_secret(path: Path, secret: bytes) -> None:
    """Create a file with mode 0600 and make it durable. Raises FileExistsError rather than overwrite a key."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secret)
        file.flush()
        os.fsync(file.fileno())


def read_secret(path: Path, *, size: int | None = None) -> bytes:
    """A secret's bytes. Raises SettingsError in Russian: no file, no right to read, readable by others, empty, wrong size."""
    try:
        status = path.stat()
        secret = path.read_bytes()
    except OSError as error:
        raise SettingsError((f"`{path}`: файл ключа не читается ({error.strerror}); проверьте путь и права",)) from None
    if stat.S_IMODE(status.st_mode) & (0o037 if is_credential(path, status) else 0o077):
        raise SettingsError((f"`{path}`: файл ключа доступен не только владельцу; выполните `chmod 600 {path}`",))
    if not secret.strip():
        raise SettingsError((f"`{path}`: файл ключа пуст",))
    if size is not None and len(secret) != size:
        raise SettingsError((f"`{path}`: в файле ключа {len(secret)} байт, нужно {size}",))
    return secret
