"""A full log records that it is full, closes what was open, and takes its space back before it goes on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from audit import AuditLog, AuditReader, AuditWriteError, Entry, LogFileError, LogSettings, Notices, verify_file

ROOT = Path(__file__).parents[2]
NOTICES = Notices(
    blocked=lambda reason, since: Entry(60, 1, f"blocked {reason} {since > 0}".encode()),
    resumed=lambda reason: Entry(31, 1, f"resumed {reason}".encode()),
)


async def reason(log: AuditLog, entry: Entry, *, vital: bool = False) -> str:
    try:
        await log.append(entry, vital=vital)
    except AuditWriteError as error:
        return error.reason
    return "recorded"


def bodies(settings: LogSettings) -> list[bytes]:
    with AuditReader.open(settings.path, settings.kek_file) as reader:
        return [entry.body for entry in reader.entries()]


def namespaces() -> list[str]:
    """What runs a command where it may mount: as root, else as the root of a user namespace."""
    for flags in (["--mount"], ["--user", "--map-root-user", "--mount"]):
        if subprocess.run(["unshare", *flags, "true"], capture_output=True).returncode == 0:
            return ["unshare", *flags]
    return []


@pytest.mark.skipif(not namespaces(), reason="no namespaces here: a disk cannot be filled")
def test_on_a_disk_that_fills_up_the_blocking_is_recorded_and_what_was_open_is_closed(tmp_path: Path) -> None:
    command = [*namespaces(), sys.executable, ROOT / "tests/audit/on_full_disk.py", tmp_path]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin:/usr/sbin:/sbin"},
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "kept": [2 << 20, True, "0o600"],
        "full": ["disk-full", "disk-full", "spent", False],
        "outcomes": ["recorded", []],
        "ordinary": "disk-full",
        "still-full": "disk-full",
        "freed": ["writes", None, None, 2 << 20],
        "after": "recorded",
        "words": ["blocked disk-full True", "outcome", "resumed disk-full", "after"],
        "verified": True,
        "started": "disk-full",
    }


async def test_a_log_at_its_own_limit_says_so_beyond_it_and_goes_on_when_it_may_grow(
    settings: LogSettings, vkey: str
) -> None:
    small = msgspec.structs.replace(settings, max_bytes=300_000, reserve_bytes=100_000)
    async with AuditLog.open(small, notices=NOTICES) as log:
        opened = (await log.append(Entry(1, 1, b"intent", opens=True))).seq
        while await reason(log, Entry(1, 1, bytes(20_000))) == "recorded":
            pass
        assert (log.blocked, log.reserve, log.may_recover) == ("disk-full", "spent", True)
        assert await reason(log, Entry(1, 1, b"")) == "disk-full"
        assert await reason(log, Entry(2, 1, b"outcome", closes=opened)) == "recorded"
        assert await reason(log, Entry(2, 1, b"vital"), vital=True) == "recorded"
        assert log.blocked == "disk-full"
        with pytest.raises(AuditWriteError):
            await log.recover()
        assert log.blocked == "disk-full"
    assert bodies(settings)[-3:] == [b"blocked disk-full True", b"outcome", b"vital"]
    async with AuditLog.open(msgspec.structs.replace(small, max_bytes=900_000), notices=NOTICES) as log:
        assert await reason(log, Entry(1, 1, b"after")) == "recorded"
    assert verify_file(settings.path, vkey).ok


async def test_what_the_reserve_cannot_hold_is_refused_too_and_the_blocking_is_recorded_later(
    settings: LogSettings,
) -> None:
    settings = msgspec.structs.replace(settings, max_bytes=300_000, reserve_bytes=4096)
    async with AuditLog.open(settings, notices=NOTICES) as log:
        while await reason(log, Entry(1, 1, bytes(20_000)), vital=True) == "recorded":
            pass
        assert await reason(log, Entry(2, 1, bytes(60_000), closes=0)) == "disk-full"
        assert (log.blocked, log.reserve) == ("disk-full", "spent")
        await log.append(Entry(2, 1, b"small", closes=0))
    assert bodies(settings)[-2:] == [b"blocked disk-full True", b"small"]


async def test_without_a_reserve_a_log_is_tried_again_by_whatever_comes_next(settings: LogSettings) -> None:
    async with AuditLog.open(msgspec.structs.replace(settings, max_bytes=300_000), notices=NOTICES) as log:
        assert await reason(log, Entry(1, 1, bytes(400_000))) == "disk-full"
        await log.recover()
        assert (log.blocked, log.reserve) == (None, None)
    assert bodies(settings) == [b"resumed disk-full"]


async def test_the_reserve_is_made_whole_at_every_start_and_goes_when_none_is_wanted(settings: LogSettings) -> None:
    reserve = settings.path.with_name("audit.db.reserve")
    reserve.touch()
    with reserve.open("r+b") as file:
        file.truncate(1 << 20)  # as long as it should be, and empty
    async with AuditLog.open(msgspec.structs.replace(settings, reserve_bytes=1 << 20)):
        assert reserve.stat().st_blocks * 512 >= 1 << 20
    async with AuditLog.open(settings):
        assert not reserve.exists()


async def test_a_reserve_that_cannot_be_made_is_told_at_the_start(settings: LogSettings) -> None:
    settings.path.with_name("audit.db.reserve").mkdir()
    with pytest.raises(LogFileError, match="резерв"):
        async with AuditLog.open(msgspec.structs.replace(settings, reserve_bytes=1 << 20)):
            pytest.fail("opened")
