"""A log on a disk that fills up and is freed, for `test_reserve.py`: run in a mount namespace of its own, it puts a small tmpfs over a folder.

Prints what happened, one JSON object.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

from audit import (
    AuditLog,
    AuditReader,
    AuditWriteError,
    Entry,
    LogSettings,
    Notices,
    WriteFailure,
    create_kek,
    create_signing_key,
    verify_file,
)

RESERVE = 2 << 20
NOTICES = Notices(
    blocked=lambda reason, since: Entry(60, 1, f"blocked {reason} {since > 0}".encode()),
    resumed=lambda reason: Entry(31, 1, f"resumed {reason}".encode()),
)


def fill(path: Path) -> None:
    """Take all the space there is."""
    with path.open("ab", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            return


async def refused(log: AuditLog, entry: Entry) -> str:
    try:
        await log.append(entry)
    except AuditWriteError as error:
        return error.reason
    return "recorded"


async def carry_out(disk: Path) -> dict[str, object]:
    settings = LogSettings(disk / "audit.db", disk / "kek", disk / "sign.key", "log.test/audit", reserve_bytes=RESERVE)
    create_kek(settings.kek_file)
    create_signing_key(settings.signing_key_file, settings.origin)
    reserve, ballast = disk / "audit.db.reserve", disk / "ballast"
    story: dict[str, object] = {}
    async with AuditLog.open(settings, notices=NOTICES) as log:
        status = reserve.stat()
        story["kept"] = [status.st_size, status.st_blocks * 512 >= RESERVE, oct(status.st_mode & 0o777)]
        opened = (await log.append(Entry(1, 1, b"intent", opens=True))).seq
        fill(ballast)
        while (last := await refused(log, Entry(1, 1, bytes(20_000)))) == "recorded":
            pass
        story["full"] = [last, log.blocked, log.reserve, reserve.exists()]
        story["outcomes"] = [(await refused(log, Entry(2, 1, b"outcome", closes=opened))), await log.unclosed()]
        story["ordinary"] = await refused(log, Entry(1, 1, b"small"))
        story["still-full"] = await recovered(log)
        ballast.write_bytes(b"")
        os.truncate(ballast, 0)
        story["freed"] = [await recovered(log), log.blocked, log.reserve, reserve.stat().st_size]
        story["after"] = await refused(log, Entry(1, 1, b"after"))
    with AuditReader.open(settings.path, settings.kek_file) as reader:
        bodies = [entry.body for entry in reader.entries()]
    story["words"] = [
        body.decode() for body in bodies if body.startswith((b"blocked", b"resumed", b"outcome", b"after"))
    ]
    story["verified"] = verify_file(settings.path, settings.signing_key_file.with_suffix(".pub").read_text()).ok
    fill(ballast)
    reserve.unlink()
    fill(disk / "more")
    try:
        async with AuditLog.open(settings, notices=NOTICES):
            story["started"] = "opened"
    except AuditWriteError as error:
        story["started"] = error.reason
    return story


async def recovered(log: AuditLog) -> str:
    try:
        await log.recover()
    except AuditWriteError as error:
        return error.reason
    return "writes"


def main() -> None:
    folder = Path(sys.argv[1])
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", folder], check=True)
    assert WriteFailure.DISK_FULL.passes
    sys.stdout.write(json.dumps(asyncio.run(carry_out(folder))))


main()
