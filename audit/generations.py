"""The keys that wrap subjects' keys, a generation at a time: in a file of their own, so that a generation can be destroyed.

The file lies apart from the database and belongs into no backup of it. Each key in it is sealed under the KEK, so that one of the two is
not enough. Once every key that survives is wrapped anew and the earlier generation is gone from this file, what an older copy of the
database holds of subjects opens to nobody.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from audit.errors import KeyFileError
from audit.keyfiles import read_key_file, sync_folder
from audit.sealing import KEY_SIZE, Kek, SubjectKek, SubjectKey, SubjectRow, WrappedKey

_ROLE = b"subject-kek"
_NUMBER = 8  # bytes of a generation's number where it is bound to its key


class _Kept(Struct, frozen=True):
    generation: int
    wrapped: bytes
    key_check: bytes


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    format: Literal["LLM AUDIT SUBJECT KEYS 1"]
    generations: list[_Kept]


class Generations:
    """The generations there are: one, or two while keys are being wrapped anew."""

    def __init__(self, path: Path, kek: Kek) -> None:
        self._path = path
        self._kek = kek
        self._keys: dict[int, SubjectKek] = {}

    @classmethod
    def load(cls, path: Path, kek: Kek) -> Generations:
        """Those in the file; none when there is no file. Raises KeyFileError."""
        generations = cls(path, kek)
        generations._reload()
        return generations

    @property
    def current(self) -> int:
        """The newest; 0 for none."""
        return max(self._keys, default=0)

    @property
    def pending(self) -> bool:
        """Whether an earlier generation is still to be destroyed."""
        return len(self._keys) > 1

    def is_destroyed(self, row: SubjectRow) -> bool:
        """Whether a row, of an older copy of the database, is of a generation that is no more."""
        return row.generation < min(self._keys, default=0)

    def begin(self) -> int:
        """Make a new generation, durably, beside the one there is; its number. Raises KeyFileError."""
        number = self.current + 1
        self._keys[number] = SubjectKek(os.urandom(KEY_SIZE))
        self._write()
        return number

    def destroy_before(self, generation: int) -> None:
        """Forget every earlier generation, here and on disk. Raises KeyFileError: then the file still has them."""
        self._keys = {number: key for number, key in self._keys.items() if number >= generation}
        self._write()

    def wrap(self, key: SubjectKey, subject: bytes) -> SubjectRow:
        """A subject's key as it is stored, under the newest generation."""
        return self._keys[self.current].wrap_subject(key, subject, self.current)

    def unwrap(self, row: SubjectRow) -> tuple[SubjectKey, bytes]:
        """A subject's key, and the subject. Raises KeyFileError: the generation is gone, or the row damaged."""
        kek = self._keys.get(row.generation)
        if kek is None:
            self._reload()  # another process may have begun a new one
            kek = self._keys.get(row.generation)
        if kek is None:
            raise KeyFileError(f"`{self._path}`: ключа поколения {row.generation} нет: он уничтожен или файл не тот")
        return kek.unwrap_subject(row)

    def tags(self, subject: bytes) -> list[bytes]:
        """Where a subject's key may be found, the newest generation first."""
        return [self._keys[number].tag(subject) for number in sorted(self._keys, reverse=True)]

    def _reload(self) -> None:
        if not self._path.exists():
            self._keys = {}
            return
        try:
            file = msgspec.json.decode(read_key_file(self._path), type=_File)
        except msgspec.DecodeError:
            raise KeyFileError(f"`{self._path}`: это не файл ключей субъектов") from None
        self._keys = {kept.generation: SubjectKek(self._opened(kept)) for kept in file.generations}

    def _opened(self, kept: _Kept) -> bytes:
        row = WrappedKey(kept.generation.to_bytes(_NUMBER), kept.wrapped, kept.key_check)
        try:
            return self._kek.unwrap(_ROLE, row)
        except KeyFileError:
            raise KeyFileError(f"`{self._path}`: файл ключей субъектов не от этого ключа шифрования") from None

    def _write(self) -> None:
        """Put the new file in place of the old one, then overwrite what the old one held.

        A file system that copies on write, and a drive that spares its cells, may keep the old bytes all the same.
        """
        kept = []
        for number, key in sorted(self._keys.items()):
            row = self._kek.wrap(_ROLE, number.to_bytes(_NUMBER), key.material)
            kept.append(_Kept(number, row.wrapped, row.key_check))
        content = msgspec.json.encode(_File("LLM AUDIT SUBJECT KEYS 1", kept)) + b"\n"
        fresh = self._path.with_name(f".{self._path.name}.{secrets.token_hex(8)}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            old = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC) if self._path.exists() else None
            try:
                descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
                with os.fdopen(descriptor, "wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(descriptor)
                fresh.replace(self._path)
                sync_folder(self._path.parent)
                if old is not None:
                    os.write(old, bytes(os.fstat(old).st_size))
                    os.fsync(old)
            finally:
                if old is not None:
                    os.close(old)
        except OSError as error:
            raise KeyFileError(f"`{self._path}`: файл ключей субъектов не записан ({error.strerror})") from None
