"""The side file: what could not go into the log waits here, sealed and chained, until it is brought in.

Lines of JSON. The first names the file, `{"side": 1, "id": hex}`; every other one is

    {"n": number from 0, "time": UTC microseconds, "previous": hex SHA-256 of the line before, "sealed": base64 of nonce ‖ AES-256-GCM-SIV}

sealed under HMAC(side key, "side-line" ‖ id), the side key being one that the KEK wraps in the log. Number, time, `previous` and id are its
additional data, so nobody without that key writes a line, changes one or takes one out of the middle unnoticed. Lines cut off the end,
or a whole file taken away while nothing runs, leave no trace here.
"""

from __future__ import annotations

import base64
import binascii
import errno
import hmac
import os
import stat
import struct
import time
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV
from msgspec import Struct

from audit.errors import LogDamagedError, SideFileError
from audit.keyfiles import sync_folder
from audit.sealing import ID_SIZE, KEY_SIZE, Kek
from audit.store import Database

SIDE = b"side"  # role of the wrapped key
_NONCE = 12
_ASSOCIATED = struct.Struct(">16sQQ32s")
_FOR_CLOSING = 8  # one part in so many of the file is kept for what closes


class SideLine(Struct, frozen=True):
    """A line, opened. `digest` is SHA-256 over it as it stands in the file."""

    number: int
    time_us: int
    digest: bytes
    content: bytes


class SideLines(Struct, frozen=True):
    """All lines that open, in order; how many do not, or are not where they should be; the digest of the last one."""

    lines: list[SideLine]
    damaged: int
    head: bytes


class _Header(Struct, frozen=True, forbid_unknown_fields=True):
    side: int
    id: str


class _Line(Struct, frozen=True, forbid_unknown_fields=True):
    n: int
    time: int
    previous: str
    sealed: str


class SideFile:
    """An open side file with one writer. Every call may wait for the disk; not for two threads at once."""

    def __init__(self, path: Path, key: bytes, limit: int) -> None:
        self._path = path
        self._key = key
        self._limit = limit
        self._descriptor = -1
        self._id = bytes(ID_SIZE)
        self._head = b""  # digest of the last line
        self._count = 0  # lines
        self._size = 0  # bytes
        self._broken = False

    @classmethod
    def open(cls, path: Path, key: bytes, limit: int) -> SideFile:
        """The file, made when there is none, of at most `limit` bytes. A last line that was cut short was never acknowledged: it goes.

        Raises SideFileError.
        """
        side = cls(path, key, limit)
        side._reopen()
        return side

    @property
    def waiting(self) -> bool:
        """Whether anything is in it."""
        return self._size > 0

    def append(self, contents: Sequence[bytes], *, closing: bool = False) -> list[SideLine]:
        """Add lines; returns once they are on disk. Raises SideFileError: then none of them is there.

        What is `closing` may fill it; the rest leaves an eighth.
        """
        if self._broken:
            raise SideFileError(f"`{self._path}`: файл записей в стороне не пишется после ошибки; перезапустите службу")
        written, identity, head = b"", self._id, self._head
        if not self._size:
            identity = os.urandom(ID_SIZE)
            written = msgspec.json.encode(_Header(1, identity.hex())) + b"\n"
            head = sha256(written[:-1]).digest()
        lines = []
        for number, content in enumerate(contents, self._count):
            time_us = time.time_ns() // 1000
            nonce = os.urandom(_NONCE)
            sealed = nonce + self._cipher(identity).encrypt(
                nonce, content, _ASSOCIATED.pack(identity, number, time_us, head)
            )
            line = msgspec.json.encode(_Line(number, time_us, head.hex(), base64.b64encode(sealed).decode()))
            head = sha256(line).digest()
            lines.append(SideLine(number, time_us, head, content))
            written += line + b"\n"
        if self._size + len(written) > self._limit - (0 if closing else self._limit // _FOR_CLOSING):
            raise SideFileError(f"`{self._path}`: файл записей в стороне полон (`audit.side_bytes`)")
        self._write(written)
        self._id, self._head, self._count, self._size = (
            identity,
            head,
            self._count + len(lines),
            self._size + len(written),
        )
        return lines

    def lines(self) -> SideLines:
        """What is in it, read from the file. Raises SideFileError."""
        found = _parsed(self._content(), self._key)
        if found.head != self._head:  # the end was cut off under us, or more was written
            return SideLines(found.lines, found.damaged + 1, found.head)
        return found

    def clear(self) -> None:
        """Let everything go. Raises SideFileError."""
        try:
            os.ftruncate(self._descriptor, 0)
            os.fsync(self._descriptor)
        except OSError as error:
            self._broken = True
            raise self._error(error) from None
        self._begin(b"", 0)

    def put_aside(self) -> Path:
        """Begin a new file and keep this one, damaged as it is, under another name: that name. Raises SideFileError."""
        kept = self._path.with_name(f"{self._path.name}.{time.time_ns()}.damaged")
        try:
            self._path.rename(kept)
            sync_folder(self._path.parent)
        except OSError as error:
            raise self._error(error) from None
        self.close()
        self._reopen()
        return kept

    def close(self) -> None:
        """Close it; what is in it stays."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1

    def _reopen(self) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._descriptor = os.open(
                self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_DSYNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
            )
            sync_folder(self._path.parent)
            status = os.fstat(self._descriptor)
            if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
                raise SideFileError(f"`{self._path}`: это должен быть файл, доступный только владельцу службы (0600)")
            content = self._content()
            whole = content[: content.rfind(b"\n") + 1]
            if whole != content:
                os.ftruncate(self._descriptor, len(whole))
                os.fsync(self._descriptor)
        except OSError as error:
            raise self._error(error) from None
        found = _parsed(whole, self._key)
        self._begin(found.head, len(whole))
        if not found.damaged and found.head:
            self._id = bytes.fromhex(msgspec.json.decode(whole.split(b"\n", 1)[0], type=_Header).id)
            self._count = len(found.lines)
        else:
            self._broken = bool(whole)  # nothing is added to a chain that is torn: it has to be put aside first

    def _begin(self, head: bytes, size: int) -> None:
        self._id = bytes(ID_SIZE)
        self._head = head
        self._count = 0
        self._size = size
        self._broken = False

    def _write(self, written: bytes) -> None:
        try:
            here, opened = self._path.lstat(), os.fstat(self._descriptor)
            if (here.st_ino, opened.st_size) != (opened.st_ino, self._size):
                raise FileNotFoundError(errno.ENOENT, "файл подменили или изменили")
            done = os.write(self._descriptor, written)
            if done != len(written):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            self._broken = error.errno not in {errno.ENOSPC, errno.EDQUOT} or not self._cut()
            raise self._error(error) from None

    def _cut(self) -> bool:
        """Take back what was written in part; whether that could be done."""
        try:
            os.ftruncate(self._descriptor, self._size)
            os.fsync(self._descriptor)
        except OSError:
            return False
        return True

    def _content(self) -> bytes:
        try:
            size = os.fstat(self._descriptor).st_size
            content = b""
            while len(content) < size and (part := os.pread(self._descriptor, size - len(content), len(content))):
                content += part
        except OSError as error:
            raise self._error(error) from None
        return content

    def _cipher(self, identity: bytes) -> AESGCMSIV:
        return _cipher(self._key, identity)

    def _error(self, error: OSError) -> SideFileError:
        return SideFileError(f"`{self._path}`: файл записей в стороне не пишется ({error.strerror})")


def side_key(database: Database, kek: Kek) -> bytes:
    """The key of the side file, made when the log has none. For the writing connection. Raises AuditWriteError, KeyFileError."""
    row = database.key(SIDE)
    if row is not None:
        return kek.unwrap(SIDE, row)
    key = os.urandom(KEY_SIZE)
    with database.transaction():
        database.put_key(SIDE, kek.wrap(SIDE, os.urandom(ID_SIZE), key))
    return key


def read_side_file(path: Path, database: Database, kek: Kek) -> SideLines:
    """What is in a side file of this log, for a key holder, whether it is being written or not. Raises SideFileError, LogDamagedError."""
    row = database.key(SIDE)
    if row is None:
        raise LogDamagedError("в базе нет ключа файла записей в стороне")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SideFileError(f"`{path}`: файл записей в стороне не читается ({error.strerror})") from None
    return _parsed(content[: content.rfind(b"\n") + 1], kek.unwrap(SIDE, row))


def _parsed(content: bytes, key: bytes) -> SideLines:
    """Lines that open, whatever became of those before them. `damaged` counts the others, and gaps."""
    if not content:
        return SideLines([], 0, b"")
    first, *rest = content.splitlines()
    lines: list[SideLine] = []
    try:
        header = msgspec.json.decode(first, type=_Header)
        identity = bytes.fromhex(header.id)
        cipher = _cipher(key, identity)
        if header.side != 1 or len(identity) != ID_SIZE:
            raise ValueError(header.side)
    except (msgspec.DecodeError, ValueError):
        return SideLines([], 1 + len(rest), sha256(first).digest())
    damaged, number, head = 0, 0, sha256(first).digest()
    for line in rest:
        opened = _opened(line, identity, cipher)
        if opened is None:
            damaged += 1
        else:
            found, previous = opened
            damaged += previous != head or found.number != number
            lines.append(found)
            number = found.number
        number, head = number + 1, sha256(line).digest()
    return SideLines(lines, damaged, head)


def _opened(line: bytes, identity: bytes, cipher: AESGCMSIV) -> tuple[SideLine, bytes] | None:
    try:
        parsed = msgspec.json.decode(line, type=_Line)
        previous = bytes.fromhex(parsed.previous)
        sealed = base64.b64decode(parsed.sealed, validate=True)
        associated = _ASSOCIATED.pack(identity, parsed.n, parsed.time, previous)
        content = cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], associated)
    except (msgspec.DecodeError, ValueError, binascii.Error, struct.error, InvalidTag):
        return None
    return SideLine(parsed.n, parsed.time, sha256(line).digest(), content), previous


def _cipher(key: bytes, identity: bytes) -> AESGCMSIV:
    return AESGCMSIV(hmac.digest(key, b"side-line" + identity, "sha256"))
