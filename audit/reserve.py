"""Space kept for the log's last words: a file beside the database, let go when the disk is full so that this itself can be recorded."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

from audit.errors import AuditWriteError, LogFileError, WriteFailure
from audit.keyfiles import sync_folder
from audit.store import Database

_SLACK = 1 << 22  # bytes free beside the reserve before the log goes on, at most: else it would be full again at once
_CHUNK = 1 << 20
_FULL = {errno.ENOSPC, errno.EDQUOT}


class Reserve:
    """`size` bytes that nobody else can take; 0 keeps none. Where the database has a limit of its own, that moves too.

    Used in the thread of the writing connection. `spent`: it was let go, and what it was kept for may use it up.
    """

    def __init__(self, path: Path, size: int, max_bytes: int | None) -> None:
        self.size = size
        self.spent = False
        self.failure: str | None = None  # why there is none although there should be, when that is not the space
        self._path = path
        self._max_bytes = max_bytes

    def prepare(self) -> None:
        """Make the file, or make sure that it is there and whole. Raises AuditWriteError when the disk is full, LogFileError."""
        try:
            if not self.size:
                self._path.unlink(missing_ok=True)
            elif not self._is_whole():
                self._allocate(0)
        except OSError as error:
            if error.errno in _FULL:
                raise AuditWriteError(WriteFailure.DISK_FULL) from None
            raise LogFileError(f"`{self._path}`: резерв места не создаётся ({error.strerror})") from None

    def release(self, database: Database) -> None:
        """Let the space go."""
        self.spent = True
        with suppress(OSError):  # what could not be let go is not there to be used: the next write says so
            os.truncate(self._path, 0)
            self._path.unlink()
            sync_folder(self._path.parent)  # some file systems give blocks away only once their release is on disk
        if self._max_bytes is not None:
            database.limit(self._max_bytes + self.size)

    def rebuild(self, database: Database) -> None:
        """Take the space again. Raises AuditWriteError unless more than that is free: then it is still let go.

        What keeps it from being made otherwise is told in `failure`; the log goes on without a reserve then.
        """
        slack = min(self.size, _SLACK)
        if self._max_bytes is not None and database.room(self._max_bytes) < slack:
            raise AuditWriteError(WriteFailure.DISK_FULL)
        try:
            self._allocate(slack)
            self.failure = None
        except OSError as error:
            if error.errno in _FULL:
                raise AuditWriteError(WriteFailure.DISK_FULL) from None
            self.failure = error.strerror
        if self._max_bytes is not None:
            database.limit(self._max_bytes)
        self.spent = False

    def _is_whole(self) -> bool:
        try:
            status = self._path.lstat()
        except FileNotFoundError:
            return False
        return status.st_size == self.size and status.st_blocks * 512 >= self.size

    def _allocate(self, slack: int) -> None:
        """Make the file anew, once there was room for it and for `slack` more. Raises OSError: then there is none."""
        self._path.unlink(missing_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, self.size + slack)
            os.ftruncate(descriptor, self.size)
            if os.fstat(descriptor).st_blocks * 512 < self.size:
                self._fill(descriptor)  # a file system that packs zeros away
            os.fsync(descriptor)
            sync_folder(self._path.parent)
        except OSError:
            self._path.unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)

    def _fill(self, descriptor: int) -> None:
        at = 0
        while at < self.size:
            at += os.pwrite(descriptor, os.urandom(min(_CHUNK, self.size - at)), at)


def reserve_beside(path: Path) -> Path:
    """Where the reserve of a log lies."""
    return path.with_name(f"{path.name}.reserve")
