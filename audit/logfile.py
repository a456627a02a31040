"""The log's file on disk: made for its owner alone, and locked against a second writer."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from audit.errors import LogFileError, LogInUseError
from audit.filesystems import shared_kind
from audit.keyfiles import sync_folder
from audit.store import SQLITE_HAS_WAL_RACE, SQLITE_VERSION


@contextmanager
def write_lock(path: Path, *, real: bool = SQLITE_HAS_WAL_RACE) -> Iterator[None]:
    """Be the only writer of this log while inside. Raises LogInUseError, LogFileError. The lock dies with the process.

    `real`: refuse where the lock keeps nobody out, for with this library a second writer can destroy the file.
    """
    lock = path.with_name(path.name + ".lock")
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise LogFileError(f"`{lock}`: файл блокировки не открывается ({error.strerror})") from None
    try:
        _take(descriptor, path)
        if real:
            _check_real(lock)
        yield
    finally:
        os.close(descriptor)


def _check_real(lock: Path) -> None:
    """Raise LogFileError unless a second lock on the file would be refused, here and on other machines."""
    danger = (
        f"; с SQLite {SQLITE_VERSION} второй пишущий процесс может испортить журнал. Перенесите его на локальный диск"
    )
    if (kind := shared_kind(lock)) is not None:
        raise LogFileError(
            f"`{lock}`: сетевая или общая файловая система ({kind}): блокировка не удержит других{danger}"
        )
    try:
        second = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        finally:
            os.close(second)
    except BlockingIOError:
        return
    except OSError as error:
        raise LogFileError(f"`{lock}`: файл блокировки не проверяется ({error.strerror})") from None
    raise LogFileError(f"`{lock}`: файловая система даёт одну блокировку дважды{danger}")


def prepare_folder(path: Path) -> None:
    """Make the folder of a log, for its owner alone. Raises LogFileError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise LogFileError(f"`{path.parent}`: каталог журнала не создаётся ({error.strerror})") from None


def prepare_file(path: Path) -> None:
    """Create an empty file of mode 0600, or make sure the one there may be written by us and by nobody else. Raises LogFileError."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        sync_folder(path.parent)
    except FileExistsError:
        _check_file(path)
    except OSError as error:
        raise LogFileError(f"`{path}`: файл журнала не создаётся ({error.strerror})") from None


def sync_names(path: Path) -> None:
    """Make the names of the log's files durable; when SQLite's own sync of the folder fails, it says nothing. Raises LogFileError."""
    try:
        sync_folder(path.parent)
    except OSError as error:
        raise LogFileError(f"`{path.parent}`: каталог журнала не записывается на диск ({error.strerror})") from None


def _check_file(path: Path) -> None:
    try:
        status = path.stat()
    except OSError as error:
        raise LogFileError(f"`{path}`: файл журнала недоступен ({error.strerror})") from None
    if not stat.S_ISREG(status.st_mode):
        raise LogFileError(f"`{path}`: это не файл")
    if status.st_uid != os.geteuid():
        raise LogFileError(f"`{path}`: файл журнала принадлежит другому пользователю")
    if status.st_mode & 0o022:
        raise LogFileError(f"`{path}`: файл журнала могут изменять другие пользователи; выполните `chmod 600 {path}`")
    if not status.st_mode & stat.S_IWUSR or not os.access(path, os.W_OK):
        raise LogFileError(f"`{path}`: файл журнала доступен только для чтения")


def _take(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise LogInUseError(
            f"`{path}`: журнал уже пишет другой процесс; остановите его или укажите другой файл"
        ) from None
    except OSError as error:
        raise LogFileError(f"`{path}`: файловая система не даёт блокировать файлы ({error.strerror})") from None
