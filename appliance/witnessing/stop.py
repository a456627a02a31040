"""The mark that a log was stopped as rolled back: as long as it lies there the service does not start, whoever can be reached."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path


def mark_stopped(path: Path, words: str) -> None:
    """Leave the mark, durably; one that is there stays as it is. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(words + "\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(fresh, path)  # unlike a rename, it leaves the first reason in its place
    finally:
        fresh.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def problem_of_stop(path: Path) -> str | None:
    """What the administrator is told while the mark is there."""
    try:
        words = path.read_text(encoding="utf-8", errors="replace").strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        words = f"метка не читается ({error.strerror})"
    return (
        f"`{path}`: журнал остановлен, потому что его откатили или подменили: {words}."
        " Пока эта метка на месте, служба не запускается. Верните журнал из более новой копии (`appliance restore` снимет метку сам;"
        " если файлы вернули вручную, удалите её, и свидетели проверят журнал снова)."
        " Если утрата необратима, её признают актом: `appliance restore … --fork --ground НОМЕР`"
    )
