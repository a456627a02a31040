"""Where the key-encryption key comes from: a plain file, unless the caller brings something that yields the same 32 bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, TypeAlias

from audit.errors import KeyFileError
from audit.keyfiles import KEK_SIZE, load_kek, subject_keys_beside
from audit.sealing import Kek, key_check


class KekSource(Protocol):
    """Something that yields the KEK: asked once whenever a log is opened, and keeping no copy.

    `load` may take seconds (a network, a token, a slow derivation), so it is called off the event loop. It raises KeyFileError with what is
    wrong, where, and what to do; never with a secret.
    """

    @property
    def description(self) -> str:
        """What it is and where, for people, in Russian; it begins in lower case and names no secret."""

    def load(self) -> bytes:
        """The 32 bytes."""


class KekFile:
    """The key as it is, in a file for its owner alone."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def description(self) -> str:
        """The file."""
        return f"открытый файл `{self._path}`"

    def load(self) -> bytes:
        """The 32 bytes. Raises KeyFileError."""
        return load_kek(self._path)


AnyKek: TypeAlias = Path | KekSource


def source_of(kek: AnyKek) -> KekSource:
    """A source; a path means the plain file there."""
    return KekFile(kek) if isinstance(kek, Path) else kek


def open_kek(kek: AnyKek) -> Kek:
    """The key, ready to wrap others. Raises KeyFileError."""
    source = source_of(kek)
    key = source.load()
    if len(key) != KEK_SIZE:
        raise KeyFileError(f"{source.description}: в ключе {len(key)} байт, нужно {KEK_SIZE}")
    return Kek(key)


def subject_keys_of(kek: AnyKek, subject_keys_file: Path | None) -> Path:
    """The file of subjects' keys: the one that was named, else the one beside a plain KEK. Raises KeyFileError when neither says."""
    if subject_keys_file is not None:
        return subject_keys_file
    if not isinstance(kek, Path):
        raise KeyFileError(f"{kek.description}: не сказано, где файл ключей субъектов")
    return subject_keys_beside(kek)


def key_check_of(key: bytes) -> bytes:
    """16 bytes by which a KEK is recognised and from which it cannot be computed; the log stores those of its own."""
    return key_check(key)
