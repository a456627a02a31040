"""Readings of the log by whoever has its keys at hand: noted on disk before anything is shown, and recorded by the service.

The command line reads the file itself, whether the service runs or not, and only the service may write to the log. So a reading is first a
small file here, synced; the service makes a record of it within seconds, or when it next starts, and takes the file away.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import time
from contextlib import suppress
from pathlib import Path

import msgspec

from appliance.errors import RecordingError
from appliance.events import Id, LogRead, ReadWhat, Reference
from appliance.placing import place
from appliance.recorder import Recorder

_SUFFIX = ".json"
_EVERY = 1.0  # seconds
_LOG = logging.getLogger("appliance")


class Reading(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One reading: by the user of the operating system with this number, at this time (seconds of POSIX)."""

    id: Id
    uid: int
    time: int
    what: ReadWhat
    records: int
    ground: Reference = ""

    def event(self) -> LogRead:
        """As it is recorded."""
        return LogRead(self.id, f"uid-{self.uid}", self.what, self.records, self.ground, self.time)


def note(folder: Path, what: ReadWhat, records: int, ground: str = "") -> None:
    """Note a reading, durably, before anything of it is shown. Raises OSError, and msgspec.ValidationError for an unfit ground."""
    reading = Reading(secrets.token_hex(16), os.getuid(), int(time.time()), what, records, ground)
    content = msgspec.json.encode(msgspec.convert(msgspec.to_builtins(reading), Reading))
    place(folder / f"{reading.time}-{reading.id}{_SUFFIX}", content)


def noted(folder: Path) -> list[tuple[Path, Reading | None]]:
    """What waits to be recorded, the oldest first; None for a file that is no reading of ours."""
    found: list[tuple[Path, Reading | None]] = []
    for path in sorted(folder.glob(f"*{_SUFFIX}")) if folder.is_dir() else ():
        try:
            found.append((path, msgspec.json.decode(path.read_bytes(), type=Reading)))
        except (OSError, msgspec.DecodeError):
            found.append((path, None))
    return found


async def record(folder: Path, recorder: Recorder) -> None:
    """Record what was noted; a note goes once its record is durable, so a crash between may record it twice and never not at all.

    Raises RecordingError. A file that is no note of ours is told to the administrator and put aside.
    """
    for path, reading in await asyncio.to_thread(noted, folder):
        if reading is None:
            _LOG.warning("a note of a reading cannot be read and was put aside: %s", path.name)
            path.rename(path.with_suffix(".unreadable"))
            continue
        await recorder.append(reading.event())
        path.unlink()


async def keep_recording(folder: Path, recorder: Recorder) -> None:
    """Record what is noted, for ever; while the log cannot write, the notes wait."""
    while True:
        with suppress(RecordingError, OSError):
            await record(folder, recorder)
        await asyncio.sleep(_EVERY)
