"""Export: a database → a bundle for auditors."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from audit.bundle import MAGIC, frame, section
from audit.errors import ExportError
from audit.store import StoreReader


def export_bundle(database: Path, out: Path) -> int:
    """Write all records of a log to a new file; returns how many. The log may be being written meanwhile.

    The file appears whole or not at all and never replaces another. Raises ExportError, LogUnusableError.
    """
    if out.exists():
        raise ExportError(f"`{out}`: файл уже есть и не будет перезаписан; назовите другой")
    temporary = out.with_name(f".{out.name}.{secrets.token_hex(4)}")
    try:
        with StoreReader.open(database) as store:
            size, note = store.size(), store.checkpoint().encode()
            length = sum(len(frame(record, leaf)) for record, leaf in store.records(0, size))
            with temporary.open("xb") as file:
                file.write(MAGIC + section("checkpoint", len(note)) + note + section("records", length))
                for record, leaf in store.records(0, size):
                    file.write(frame(record, leaf))
                file.flush()
                os.fsync(file.fileno())
        os.link(temporary, out)  # unlike a rename, refuses to replace a file that appeared meanwhile
    except OSError as error:
        raise ExportError(f"`{out}`: выгрузка не записана ({error.strerror})") from None
    finally:
        temporary.unlink(missing_ok=True)
    return size
