"""The tree as c2sp.org/tlog-tiles, beside the bundle in an export folder: readable by any tool that speaks it (`FORMAT.md`, section 6)."""

from __future__ import annotations

import os
import stat
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from audit.errors import Finding, VerificationError
from audit.leaf import HEADER_SIZE
from audit.merkle import HASH_SIZE, Frontier, leaf_hash
from audit.store import Database
from audit.subtrees import WIDTH, Edge
from audit.timestamps import check_names

BUNDLE_NAME, KEYS_NAME, VERIFIER_NAME, README_NAME, TILES_NAME = (
    "log.bundle",
    "keys.pub",
    "verify.py",
    "ЧИТАЙТЕ.txt",
    "tiles",
)
TIMESTAMPS_NAME = "timestamps"
_CHECKPOINT, _ENTRIES = "checkpoint", "entries"
_FOLDERS = {TILES_NAME, TIMESTAMPS_NAME}
_NAMES = {BUNDLE_NAME, KEYS_NAME, VERIFIER_NAME, README_NAME, *_FOLDERS}
_ENTRY = HEADER_SIZE.to_bytes(2)


def tile_path(level: int | str, number: int, width: int = WIDTH) -> str:
    """Where a tile lies under the folder of tiles."""
    digits = f"{number % 1000:03d}"
    while number >= 1000:
        number //= 1000
        digits = f"x{number % 1000:03d}/{digits}"
    return f"tile/{level}/{digits}" + ("" if width == WIDTH else f".p/{width}")


def write_tiles(database: Database, folder: Path, note: str, size: int, *, entries: bool) -> None:
    """Write all tiles of the first `size` records into a folder; with `entries` their headers too. Raises OSError, LogDamagedError."""
    _write(folder / _CHECKPOINT, note.encode())
    edge = Edge()
    rows: list[list[bytes]] = []
    for start in range(0, size, WIDTH):
        hashes = database.leaf_hashes(start, min(start + WIDTH, size))
        _write(folder / tile_path(0, start // WIDTH, len(hashes)), b"".join(hashes))
        if entries:
            headers = [record.header for record in database.records(start, start + len(hashes))]
            content = b"".join(_ENTRY + header for header in headers)
            _write(folder / tile_path(_ENTRIES, start // WIDTH, len(hashes)), content)
        edge, made = edge.extended(hashes)
        for level, number, node in made:
            _put(rows, level - 1, node)
            if number % WIDTH == WIDTH - 1:
                _write(folder / tile_path(level, number // WIDTH), b"".join(rows[level - 1]))
                rows[level - 1].clear()
    for level, row in enumerate(rows, 1):
        if row:
            _write(folder / tile_path(level, size // WIDTH**level // WIDTH, len(row)), b"".join(row))


def check_folder(folder: Path) -> None:
    """Raise VerificationError for what does not belong into an export folder, or is no plain file."""
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        name = unicodedata.normalize("NFC", entry.name)  # some systems store it otherwise
        plain = entry.is_dir(follow_symlinks=False) if name in _FOLDERS else entry.is_file(follow_symlinks=False)
        if name not in _NAMES or not plain:
            raise VerificationError(f"в папке выгрузки лишнее: `{entry.name}`", Finding.FORMAT)
    if (folder / TIMESTAMPS_NAME).exists():
        check_names(folder / TIMESTAMPS_NAME)
    if not (folder / BUNDLE_NAME).is_file():
        raise VerificationError(f"в папке нет выгрузки `{BUNDLE_NAME}`", Finding.FORMAT)


def check_tiles(folder: Path, size: int, root: bytes, note: str, *, whole: bool) -> int:
    """The number of tile files, all of which have the hashes of the tree of this size and root. Raises VerificationError.

    Headers are there when every record is in the bundle (`whole`), and only then.
    """
    if _read(folder / _CHECKPOINT, 1 << 18) != note.encode():
        raise _error(f"`{TILES_NAME}/{_CHECKPOINT}` — не та контрольная точка, что в выгрузке")
    count = 0
    tree, edge = Frontier(), Edge()
    rows: list[list[bytes]] = []
    for start in range(0, size, WIDTH):
        width = min(WIDTH, size - start)
        hashes = _hashes(folder, 0, start // WIDTH, width)
        if whole:
            _check_entries(folder, start // WIDTH, hashes)
            count += 1
        tree = tree.extended(hashes)
        edge, made = edge.extended(hashes)
        count += 1
        for level, number, node in made:
            _put(rows, level - 1, node)
            if number % WIDTH == WIDTH - 1:
                _compare(folder, level, number // WIDTH, rows[level - 1])
                count += 1
    for level, row in enumerate(rows, 1):
        if row:
            _compare(folder, level, size // WIDTH**level // WIDTH, row)
            count += 1
    if tree.root() != root:
        raise _error("плитки дерева не складываются в его корень")
    found = sum(1 for _ in _files(folder))
    if found != count + 1:  # the checkpoint is none of them
        raise _error(f"в папке плиток файлов {found}, а должно быть {count + 1}")
    return count


def _put(rows: list[list[bytes]], index: int, node: bytes) -> None:
    while len(rows) <= index:
        rows.append([])
    rows[index].append(node)


def _compare(folder: Path, level: int, number: int, row: list[bytes]) -> None:
    if _hashes(folder, level, number, len(row)) != row:
        raise _error(f"плитка `{tile_path(level, number, len(row))}` не та")
    row.clear()


def _hashes(folder: Path, level: int, number: int, width: int) -> list[bytes]:
    path = tile_path(level, number, width)
    content = _read(folder / path, WIDTH * HASH_SIZE)
    if len(content) != width * HASH_SIZE:
        raise _error(f"плитка `{path}` неверной длины")
    return [content[at : at + HASH_SIZE] for at in range(0, len(content), HASH_SIZE)]


def _check_entries(folder: Path, number: int, hashes: list[bytes]) -> None:
    path = tile_path(_ENTRIES, number, len(hashes))
    step = len(_ENTRY) + HEADER_SIZE
    content = _read(folder / path, WIDTH * step)
    parts = [content[at : at + step] for at in range(0, len(content), step)]
    if [leaf_hash(part[2:]) for part in parts if part[:2] == _ENTRY] != hashes or len(content) != step * len(hashes):
        raise _error(f"заголовки в `{path}` не те")


def _read(path: Path, most: int) -> bytes:
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise _error(f"`{path.name}` в папке плиток — не файл")
        with path.open("rb") as file:
            return file.read(most + 1)
    except OSError as error:
        raise _error(f"плитка `{path.name}` не читается ({error.strerror})") from None


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _files(folder: Path) -> Iterator[str]:
    for where, _, names in os.walk(folder):
        yield from (f"{where}/{name}" for name in names)


def _error(message: str) -> VerificationError:
    return VerificationError(message, Finding.TILES)
