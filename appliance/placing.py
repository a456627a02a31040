"""A small file put in place of another so that after a power cut one of the two is there, whole."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def place(path: Path, content: bytes) -> None:
    """Make or replace a file of the owner's (0600), durably; its folder is made too. Raises OSError: then the old one is still there.

    What root makes is given to whom the folder belongs: a command of the administrator must leave nothing that the service cannot read.
    """
    if not path.parent.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _give(path.parent, path.parent.parent)
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        _give(fresh, path.parent)
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _give(path: Path, folder: Path) -> None:
    if os.geteuid() == 0:
        owner = folder.stat()
        os.chown(path, owner.st_uid, owner.st_gid)
