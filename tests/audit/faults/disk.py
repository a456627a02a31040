"""What a disk holds after the power went: a model that replays the journal of the shim.

A file's bytes are sure once it was synced, a name once its folder was. Of everything after the last sync nothing may be there, or all,
or any part in any order, sectors of one write included: POSIX promises no more, and file systems differ.
"""

from __future__ import annotations

import json
import os
import random
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from msgspec import Struct

_HEAD = struct.Struct("<IIQQQc7x")
_SECTOR = 512


class Change(Struct, frozen=True):
    """One record of the journal."""

    what: str  # Create, Write, Truncate, Sync, Rename, Unlink, Link, or A: something was told
    path: str
    other: str
    inode: int
    at: int
    content: bytes


class _File:
    def __init__(self, content: bytes = b"") -> None:
        self.sure = bytearray(content)
        self.loose: list[
            tuple[int, bytes | None]
        ] = []  # writes (place, bytes) and cuts (length, None) since the last sync

    def settle(self) -> None:
        for at, content in self.loose:
            _apply(self.sure, at, content)
        self.loose.clear()

    def after(self, chance: random.Random, share: float) -> bytes:
        """The bytes after a power cut: each loose change with this likelihood, a write perhaps in part."""
        content = bytearray(self.sure)
        for at, patch in self.loose:
            if chance.random() >= share:
                continue
            if patch is None or chance.random() < 0.8:
                _apply(content, at, patch)
                continue
            for start in range(0, len(patch), _SECTOR):
                if chance.random() < 0.5:
                    _apply(content, at + start, patch[start : start + _SECTOR])
        return bytes(content)


class Disk:
    """The log's folder on a disk, as it is now and as it is surely."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        self._files: dict[int, _File] = {}
        self._names: dict[str, int] = {}
        for path in folder.iterdir():
            inode = path.stat().st_ino
            self._names[str(path)] = inode
            self._files[inode] = _File(path.read_bytes())
        self._sure_names = dict(self._names)
        self._loose_names: list[tuple[str, int | None]] = []  # name → inode, None when it was taken away
        self.told: list[Any] = []

    def apply(self, change: Change) -> None:
        """One more record of the journal."""
        match change.what:
            case "A":
                self.told.append(json.loads(change.content))
            case "C":
                self._files[change.inode] = _File()
                self._name(change.path, change.inode)
            case "W":
                self._files[change.inode].loose.append((change.at, change.content))
            case "T":
                self._files[change.inode].loose.append((change.at, None))
            case "S" if change.path == self._folder:
                self._sure_names = dict(self._names)
                self._loose_names.clear()
            case "S":
                self._files[change.inode].settle()
            case "R":
                inode = self._names[change.path]
                self._name(change.other, inode)
                self._name(change.path, None)
            case "L":
                self._name(change.other, self._names[change.path])
            case "U":
                self._name(change.path, None)

    def write_sure(self, folder: Path) -> None:
        """What is there after a power cut that takes everything that may go."""
        _write(folder, {name: bytes(self._files[inode].sure) for name, inode in self._sure_names.items()})

    def write_any(self, folder: Path, chance: random.Random) -> None:
        """What may be there after a power cut, by chance."""
        share = chance.choice([0.1, 0.5, 0.9, 1.0])
        names = dict(self._sure_names)
        for name, inode in self._loose_names[: chance.randint(0, len(self._loose_names))]:
            if inode is None:
                names.pop(name, None)
            else:
                names[name] = inode
        _write(folder, {name: self._files[inode].after(chance, share) for name, inode in names.items()})

    def _name(self, path: str, inode: int | None) -> None:
        if inode is None:
            self._names.pop(path, None)
        else:
            self._names[path] = inode
        self._loose_names.append((path, inode))


def read_journal(path: Path) -> Iterator[Change]:
    """The records of a journal, in order."""
    content = path.read_bytes()
    at = 0
    while at < len(content):
        name, other, inode, place, length, what = _HEAD.unpack_from(content, at)
        at += _HEAD.size
        parts = []
        for size in (name, other, length):
            parts.append(content[at : at + size])
            at += size
        yield Change(what.decode(), os.fsdecode(parts[0]), os.fsdecode(parts[1]), inode, place, parts[2])


def _apply(content: bytearray, at: int, patch: bytes | None) -> None:
    if patch is None:
        del content[at:]
        content.extend(bytes(at - len(content)))
        return
    content.extend(bytes(max(0, at - len(content))))
    content[at : at + len(patch)] = patch


def _write(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir()
    for name, content in files.items():
        path = folder / Path(name).name
        path.write_bytes(content)
        path.chmod(0o644 if path.suffix == ".pub" else 0o600)
