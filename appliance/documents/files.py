"""The files that a call names: single ones, and those in folders, without going in circles."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from appliance.documents.errors import reason


class File(msgspec.Struct, frozen=True):
    """A file to read, or why there is nothing to read there."""

    path: Path
    size: int = 0
    problem: str = ""
    excluded: bool = False


def find_files(paths: Sequence[Path], exclude: Sequence[str] = ()) -> Iterator[File]:
    """The files in order of their names. Folders are entered; links to files are followed, links to folders are not.

    A link to a folder within the named ones leads to nothing new; any other one is a problem. `exclude` are patterns of a file's or
    folder's name, or of its path below the named folder.
    """
    roots = [Path(os.path.realpath(path)) for path in paths]
    for path in paths:
        if path.is_dir():
            yield from _inside(path, path, roots, exclude)
        else:
            yield _file(path)


def _inside(folder: Path, top: Path, roots: Sequence[Path], exclude: Sequence[str]) -> Iterator[File]:
    waiting = [folder]
    while waiting:
        path = waiting.pop()
        try:
            with os.scandir(path) as scanned:
                entries = sorted(scanned, key=lambda entry: os.fsencode(entry.name))
        except OSError as error:
            yield File(path, problem=reason(error))
            continue
        inner = []
        for entry in entries:
            child = path / entry.name
            if _is_excluded(child, top, exclude):
                yield File(child, excluded=True)
            elif entry.is_dir(follow_symlinks=False):
                inner.append(child)
            elif entry.is_symlink() and child.is_dir():
                if not _is_within(Path(os.path.realpath(child)), roots):
                    yield File(child, problem="ссылка на каталог вне проверяемых: по ней не ходили")
            else:
                yield _file(child)
        waiting += reversed(inner)


def _file(path: Path) -> File:
    try:
        return File(path, path.stat().st_size)
    except OSError as error:
        return File(path, problem=reason(error))


def _is_within(path: Path, roots: Sequence[Path]) -> bool:
    return any(path == root or root in path.parents for root in roots)


def _is_excluded(path: Path, top: Path, exclude: Sequence[str]) -> bool:
    below = str(path.relative_to(top))
    return any(fnmatch.fnmatchcase(path.name, each) or fnmatch.fnmatchcase(below, each) for each in exclude)
