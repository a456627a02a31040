"""The keys that wrap subjects' keys, a generation at a time: in a file of their own, so that a generation can be destroyed.

The file lies apart from the database and belongs into no backup of it. Each key in it is sealed under the KEK, so that one of the two is
not enough. Once every key that survives is wrapped anew and the earlier generation is gone from this file, what an older copy of the
database holds of subjects opens to nobody.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from audit.errors import KeyFileError
from audit.keyfiles import read_key_file, replace_key_file
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
        self._write({**self._keys, number: SubjectKek(os.urandom(KEY_SIZE))})
        return number

    def begin_after(self, lost: int) -> None:
        """Begin anew after generations up to `lost` are gone with their file: what they wrapped stays closed. Raises KeyFileError."""
        self._write({lost + 1: SubjectKek(os.urandom(KEY_SIZE))})

    def destroy_before(self, generation: int) -> None:
        """Forget every earlier generation, here and on disk. Raises KeyFileError: then the file still has them."""
        self._write({number: key for number, key in self._keys.items() if number >= generation})

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
        opened = {kept.generation: key for kept in file.generations if (key := self._opened(kept)) is not None}
        if opened.keys() != {kept.generation for kept in file.generations}:
            raise KeyFileError(f"`{self._path}`: файл ключей субъектов не от этого ключа шифрования")
        self._keys = {number: SubjectKek(key) for number, key in opened.items()}

    def _opened(self, kept: _Kept) -> bytes | None:
        """None for a generation that another KEK wraps: while the KEK is being replaced, each stands in the file twice."""
        try:
            return self._kek.unwrap(_ROLE, WrappedKey(kept.generation.to_bytes(_NUMBER), kept.wrapped, kept.key_check))
        except KeyFileError:
            return None

    def _write(self, keys: dict[int, SubjectKek]) -> None:
        """Put the new file in place of the old one, whose bytes are overwritten. INVARIANT: no key is used that is not on disk."""
        self._put([_kept(self._kek, number, key) for number, key in sorted(keys.items())])
        self._keys = keys

    def wrap_under(self, *keks: Kek) -> None:
        """Put the file in place with every generation wrapped under each of these KEKs, the last of which is used from now on."""
        self._put([_kept(kek, number, key) for number, key in sorted(self._keys.items()) for kek in keks])
        self._kek = keks[-1]

    def _put(self, kept: list[_Kept]) -> None:
        replace_key_file(self._path, msgspec.json.encode(_File("LLM AUDIT SUBJECT KEYS 1", kept)) + b"\n")


def _kept(kek: Kek, number: int, key: SubjectKek) -> _Kept:
    row = kek.wrap(_ROLE, number.to_bytes(_NUMBER), key.material)
    return _Kept(number, row.wrapped, row.key_check)
