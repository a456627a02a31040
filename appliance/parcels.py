"""Files for somebody's eyes only: a tar archive sealed to public keys with age (age-encryption.org/v1), never in the clear on disk."""

from __future__ import annotations

import os
import secrets
import tarfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import pyrage

from appliance.errors import ParcelError

_LARGEST = 1 << 46


def recipient(text: str) -> pyrage.x25519.Recipient:
    """A public key `age1…`. Raises ParcelError."""
    try:
        return pyrage.x25519.Recipient.from_str(text.strip())
    except pyrage.RecipientError:
        raise ParcelError(f"`{text[:80]}` — не открытый ключ age; нужна строка вида `age1…`") from None


def identity(text: str) -> pyrage.x25519.Identity:
    """A private key, from a file of age-keygen. Raises ParcelError."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    try:
        return pyrage.x25519.Identity.from_str(lines[0] if len(lines) == 1 else "")
    except pyrage.IdentityError:
        raise ParcelError("в файле нет закрытого ключа age (`AGE-SECRET-KEY-1…`)") from None


def seal_files(out: Path, files: Sequence[tuple[str, Path]], recipients: Sequence[str]) -> None:
    """Pack files and folders (name in the archive, path) into the new file `out`, sealed to every recipient. Raises ParcelError.

    The file appears under its name complete and synced, or not at all, and never in place of another.
    """
    keys = [recipient(each) for each in recipients]
    if not keys:
        raise ParcelError("не назван ни один получатель")
    temporary = out.with_name(f".{out.name}.{secrets.token_hex(8)}")
    try:
        if out.exists():
            raise ParcelError(f"`{out}`: такой файл уже есть")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            _through_pipe(file, files, keys)
            file.flush()
            os.fsync(descriptor)
        os.link(temporary, out)
    except OSError as error:
        raise ParcelError(f"`{out}`: не записано ({error.strerror})") from None
    finally:
        temporary.unlink(missing_ok=True)


def open_files(parcel: Path, key: pyrage.x25519.Identity, folder: Path) -> None:
    """Unpack a sealed archive into an empty folder: plain files and folders of ours only. Raises ParcelError."""
    reading, writing = os.pipe()
    failures: list[Exception] = []

    def decrypt() -> None:
        try:
            with os.fdopen(writing, "wb") as out, parcel.open("rb") as file:
                pyrage.decrypt_io(file, out, [key])
        except Exception as error:  # noqa: BLE001  (told to the caller below, whatever it is)
            failures.append(error)

    thread = threading.Thread(target=decrypt)
    thread.start()
    try:
        with os.fdopen(reading, "rb") as source:
            with suppress(tarfile.ReadError), tarfile.open(fileobj=source, mode="r|") as archive:
                for member in archive:
                    if not (member.isfile() or member.isdir()) or member.size > _LARGEST:
                        raise ParcelError(f"`{parcel}`: в архиве не только файлы")
                    archive.extract(member, folder, set_attrs=False, filter="data")
            while source.read(1 << 16):  # to the end: only there the last block is authenticated
                pass
    except (tarfile.TarError, OSError):
        raise ParcelError(f"`{parcel}`: архив повреждён или не пишется в `{folder}`") from None
    finally:
        thread.join()
    if failures:
        raise ParcelError(f"`{parcel}`: не раскрывается этим ключом или повреждён")


def _through_pipe(out: BinaryIO, files: Sequence[tuple[str, Path]], keys: Sequence[pyrage.x25519.Recipient]) -> None:
    reading, writing = os.pipe()
    failures: list[Exception] = []

    def encrypt() -> None:
        try:
            with os.fdopen(reading, "rb") as source:
                pyrage.encrypt_io(source, out, list(keys))
        except Exception as error:  # noqa: BLE001  (raised again below)
            failures.append(error)

    thread = threading.Thread(target=encrypt)
    thread.start()
    try:
        with os.fdopen(writing, "wb") as sink, tarfile.open(fileobj=sink, mode="w|") as archive:
            for name, path in files:
                archive.add(path, name, filter=_plain)
    finally:
        thread.join()
    if failures:
        raise ParcelError("архив не зашифрован: запись не удалась") from failures[0]


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Without names of people and machines."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member
