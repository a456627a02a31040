"""What verifying costs: seconds and peak memory for a bundle and for the database it came from.

    python tests/bench/audit/bench_verify.py [--records 100000]

Method. A log is filled through `append` by 256 tasks (400-byte body, one subject), exported, and both files are verified by
`python -m audit verify` in a process of its own; seconds and peak memory are the kernel's figures for that process (user + system
time and maximum resident set of `wait4`), so they include the start of the interpreter. Three runs, the median is printed, beside
the figure scaled to a million records.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
from pathlib import Path

from audit import AuditLog, Entry, LogSettings, create_kek, create_signing_key, export_bundle

BODY = os.urandom(400)


async def fill(made: LogSettings, records: int) -> None:
    async with AuditLog.open(made) as log:

        async def client(share: int) -> None:
            for number in range(share):
                await log.append(Entry(1, 1, BODY, subjects=(bytes((number % 200,)) * 16,)))

        await asyncio.gather(*(client(records // 256) for _ in range(256)))


def measure(file: Path, key: Path) -> tuple[float, float]:
    """CPU seconds and peak memory in MiB of one verification."""
    command = [sys.executable, "-m", "audit", "verify", str(file), "--key", str(key), "--json"]
    process = os.posix_spawn(
        sys.executable, command, os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)]
    )
    _, status, usage = os.wait4(process, 0)
    assert status == 0
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, default=100_000)
    records = parser.parse_args().records // 256 * 256
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = LogSettings(folder / "audit.db", folder / "kek", folder / "sign.key", "bench.test/log")
        create_kek(made.kek_file)
        create_signing_key(made.signing_key_file, made.origin)
        asyncio.run(fill(made, records))
        export_bundle(made.path, folder / "bundle")
        for file in (folder / "bundle", made.path):
            runs = [measure(file, folder / "sign.pub") for _ in range(3)]
            seconds, memory = (statistics.median(column) for column in zip(*runs, strict=True))
            size = file.stat().st_size / records
            print(
                f"{file.name:8}: {records} records, {size:.0f} B each: {seconds:.2f} s CPU, {memory:.0f} MiB at most; "
                f"scaled to a million: {seconds / records * 1e6:.1f} s"
            )


if __name__ == "__main__":
    main()
