"""A file that is only ever appended to, on another disk or a write-once mount, as witness: every line in it was on disk before we went on.

Entries are notes, each ended by a line `---`; an entry that a crash cut off is closed by a line `--- torn` and stays.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable
from pathlib import Path

from appliance.witnessing.confirming import NotConfirmedError, Seen, Trouble, continued
from appliance.witnessing.settings import FileSettings, name_of
from audit import AuditLog, parse_checkpoint, text_of

_END = re.compile(rb"^(---(?: torn)?)\n", re.MULTILINE)
_WHOLE = b"---"
_TAIL = 1 << 19  # bytes at the end of the file that are read: twice the longest note


class NoteFile:
    """Before anything is appended, the log must continue the last note in the file. `clock` is POSIX."""

    kind = "file"
    counts = True

    def __init__(self, settings: FileSettings, clock: Callable[[], float]) -> None:
        self._path = settings.path
        self._clock = clock
        self._failed = False  # a sync failed: what is on disk nobody knows, and the page cache would lie about it
        self.name = name_of(settings)
        self.every = settings.seconds

    async def confirm(self, log: AuditLog, seen: Seen) -> Seen:
        """See Confirming."""
        if self._failed:
            raise self._stored("запись на диск не удалась; проверьте диск и перезапустите службу")
        try:
            last, torn = await asyncio.to_thread(_last, self._path)
        except OSError as error:
            raise self._stored(f"не читается ({error.strerror})") from None
        except ValueError:
            raise self._stored("в конце файла — не то, что мы туда писали") from None
        size = 0 if last is None else await continued(log, last, f"`{self._path}`")
        if size < seen.size:
            raise self._stored(
                f"файл подтверждает {size} записей, а подтверждал {seen.size}: его урезали, подменили или стёрли. Верните его;"
                " если он утрачен, дайте этому свидетелю другое `name`"
            )
        note = log.checkpoint()
        if last is None or parse_checkpoint(text_of(note)).size > size:
            await asyncio.to_thread(self._append, note, torn=torn)
        now = self._clock()
        await log.keep_seen(self.name, note, int(now))
        return Seen(parse_checkpoint(text_of(note)).size, now)

    def _append(self, note: str, *, torn: bool) -> None:
        entry = (b"\n--- torn\n" if torn else b"") + note.encode() + _WHOLE + b"\n"
        try:
            fresh = not self._path.exists()
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
            with os.fdopen(descriptor, "ab", buffering=0) as file:
                while entry:
                    entry = entry[file.write(entry) :]
                self._sync(descriptor)
            if fresh:
                folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                try:
                    self._sync(folder)
                finally:
                    os.close(folder)
        except OSError as error:
            raise self._stored(f"не записывается ({error.strerror})") from None

    def _sync(self, descriptor: int) -> None:
        try:
            os.fsync(descriptor)
        except OSError:
            self._failed = True
            raise

    def _stored(self, words: str) -> NotConfirmedError:
        return NotConfirmedError(Trouble.STORED, f"`{self._path}`: {words}")


def last_note(path: Path) -> str | None:
    """The last whole note in a file; None in one that is empty or not there. Raises OSError, ValueError."""
    return _last(path)[0]


def _last(path: Path) -> tuple[str | None, bool]:
    """The last whole note, and whether an entry was cut off after it."""
    try:
        with path.open("rb") as file:
            start = max(file.seek(0, os.SEEK_END) - _TAIL, 0)
            file.seek(start)
            content = file.read(_TAIL)
    except FileNotFoundError:
        return None, False
    *closed, rest = _END.split(content)
    ends = closed[1::2]
    for place in range(len(ends) - 1, -1, -1):
        if ends[place] == _WHOLE:
            if place == 0 and start:
                break  # it may have begun before what was read
            return closed[2 * place].decode(), bool(rest)
    if start or ends:
        raise ValueError("no whole entry at the end")
    return None, bool(rest)
