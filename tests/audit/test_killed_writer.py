"""kill -9 of a writer under load: every acknowledged entry is there, the log verifies, and it goes on."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

from audit import AuditLog, AuditReader, Entry, LogSettings, verify_file

SCRIPT = Path(__file__).with_name("writer_process.py")
ROOT = Path(__file__).parents[2]


def killed_under_load(settings: LogSettings, acknowledged: int) -> list[tuple[int, str]]:
    """Start a writer, kill it some time after so many acknowledgements, and give everything it acknowledged."""
    with subprocess.Popen(
        [sys.executable, SCRIPT, settings.path.parent],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
    ) as process:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if len(lines) == acknowledged:
                process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    return [(int(number), hashed) for number, hashed in (line.split() for line in lines if line.endswith("\n"))]


async def test_kill_minus_9_under_load_loses_no_acknowledged_entry(settings: LogSettings, vkey: str) -> None:
    chance = random.Random(20)
    acknowledged: list[tuple[int, str]] = []
    for _ in range(6):
        acknowledged += killed_under_load(settings, chance.randint(1, 600))

        report = verify_file(settings.path, vkey)
        assert report.ok, report.damage

    assert len({number for number, _ in acknowledged}) == len(acknowledged)
    async with AuditLog.open(settings) as log:
        orphans = await log.unclosed()
        assert orphans == tuple(range(log.size))
        assert (await log.append(Entry(2, 1, b"", closes=0))).seq == len(orphans)
    with sqlite3.connect(settings.path) as connection:
        hashes = dict(connection.execute("SELECT seq, lower(hex(leaf_hash)) FROM records"))
    connection.close()
    assert {number: hashes.get(number) for number, _ in acknowledged} == dict(acknowledged)
    with AuditReader.open(settings.path, settings.kek_file) as reader:
        assert [entry.seq for entry in reader.entries()] == list(range(reader.size))  # every one decrypts
    assert verify_file(settings.path, vkey).ok
