"""Secret files of key providers and keepers: read whole, within bounds, and written for their owner alone."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from audit import KeyFileError

_CREDENTIALS = Path("/run/credentials")
_MAX = 64 * 1024


def read_private(path: Path, what: str, *, credentials: Path | None = None) -> bytes:
    """The bytes of a file that only its owner may read. Raises KeyFileError, which says `what` (in Russian) it was to be.

    systemd hands credentials to a service through an ACL, whose mask looks like group bits: within `credentials`, the folder it made
    for the unit, and below /run/credentials, a file may therefore show `r--r-----`, if file and folder are root's or ours and closed
    to others.
    """
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            content = file.read(_MAX + 1) if stat.S_ISREG(status.st_mode) else b""
    except OSError as error:
        raise KeyFileError(f"`{path}`: {what} не читается ({error.strerror}); проверьте путь и права") from None
    open_bits = 0o037 if is_credential(path, status, credentials) else 0o077
    if stat.S_IMODE(status.st_mode) & open_bits:
        raise KeyFileError(f"`{path}`: {what} доступен не только владельцу; выполните `chmod 600 {path}`")
    if not content.strip():
        raise KeyFileError(f"`{path}`: {what} пуст или это не файл")
    if len(content) > _MAX:
        raise KeyFileError(f"`{path}`: {what} больше {_MAX} байт; это не тот файл")
    return content


def read_word(path: Path, what: str) -> str:
    """One line of text without its end: a token, a PIN, an identifier. Raises KeyFileError."""
    try:
        return read_private(path, what).decode("utf-8").strip()
    except UnicodeDecodeError:
        raise KeyFileError(f"`{path}`: {what} — не текст") from None


def write_new(path: Path, content: bytes) -> None:
    """Create a file for its owner alone, durably. Raises OSError, FileExistsError among them."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, 0o600)
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


def is_credential(path: Path, status: os.stat_result, credentials: Path | None = None) -> bool:
    """Whether systemd put this file where only one unit reads it."""
    folder = path.parent
    if folder != credentials and folder.parent != _CREDENTIALS:
        return False
    try:
        around = folder.stat()
    except OSError:
        return False
    owners = {0, os.geteuid()}
    return status.st_uid in owners and around.st_uid in owners and not stat.S_IMODE(around.st_mode) & 0o027
