"""What an append costs: CPU of sealing, durable appends a second, bytes a record, and the same bytes through bare fdatasync.

    python tests/bench/audit/bench_append.py [--seconds 6] [--folder DIR]

Method. *Seal*: process CPU time of the sealer alone over 20 000 entries (400-byte body, one of 200 subjects, a commitment to 2 KB), and
again without subject and commitment; nothing is written. *Write*: CPU time of the writing thread for whole batches. *Append*: N tasks
append one after another into a fresh log; the rate is of acknowledged appends; CPU is of the whole process, all threads. *Floor*: on the
same disk, right after each append run, batches of the same number of bytes (entries a batch x bytes a record) by a plain loop of pwrite +
fdatasync over a file preallocated like SQLite's write-ahead log. Three rounds of both in turn; the line gives medians, and the ratio
append rate / floor rate, which says how far the log is from the disk. *Size*: file size after a clean close over records.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from pathlib import Path

from audit import AuditLog, Entry, LogSettings, create_kek, create_signing_key
from audit.sealer import Batch
from audit.store import Database
from audit.writer import BatchWriter

BODY = os.urandom(400)
TEXT = os.urandom(2048)
SUBJECTS = [os.urandom(16) for _ in range(200)]


def entry(number: int) -> Entry:
    return Entry(1, 1, BODY, subjects=(SUBJECTS[number % 200],), opens=True, commit_to=TEXT)


def settings(folder: Path) -> LogSettings:
    made = LogSettings(folder / "audit.db", folder / "kek", folder / "sign.key", "bench.test/log")
    create_kek(made.kek_file)
    create_signing_key(made.signing_key_file, made.origin)
    return made


async def bench_seal(folder: Path) -> None:
    async with AuditLog.open(settings(folder)) as log:
        for number in range(200):  # every subject has its key
            await log.append(entry(number))
        await log._writing.run(seal, log._writer)
        await log._writing.run(stages, log._writer)


def seal(database: Database, writer: BatchWriter) -> None:
    for name, entries in {
        "body 400 B": [Entry(1, 1, BODY)] * 100,
        "body 400 B, one subject, commitment to 2 KB": [entry(number) for number in range(100)],
    }.items():
        rounds = []
        for _ in range(5):
            began = time.process_time()
            for _ in range(40):
                batch = Batch(writer.head.tree.size)
                for each in entries:
                    writer._sealer.seal(database, batch, each)
            rounds.append((time.process_time() - began) / 4000 * 1e6)
        print(f"seal, {name}: {statistics.median(rounds):.1f} µs CPU (best {min(rounds):.1f})")


def stages(database: Database, writer: BatchWriter) -> None:
    entries = [entry(number) for number in range(128)]
    for size in (1, 16, 128):
        cpu = []
        for _ in range(30):
            began = time.thread_time()
            writer.write(database, entries[:size])
            cpu.append((time.thread_time() - began) / size * 1e6)
        print(
            f"write of a batch of {size}: {statistics.median(cpu):.1f} µs CPU a record, sealing, SQLite and sync together"
        )


async def bench_append(made: LogSettings, clients: int, seconds: float) -> tuple[float, float, float, int]:
    """Appends a second, CPU milliseconds an append, appends a batch, records in the log."""
    async with AuditLog.open(made) as log:
        batches = 0
        write = log._writer.write

        def counted(*arguments):  # type: ignore[no-untyped-def]  # a bench's own wrapper
            nonlocal batches
            batches += 1
            return write(*arguments)

        log._writer.write = counted  # type: ignore[method-assign]  # counting batches has no public door
        done = 0
        until = time.perf_counter() + seconds

        async def client(number: int) -> None:
            nonlocal done
            while time.perf_counter() < until:
                await log.append(entry(number + done))
                done += 1

        cpu, began = time.process_time(), time.perf_counter()
        await asyncio.gather(*(client(number * 7) for number in range(clients)))
        elapsed = time.perf_counter() - began
        return done / elapsed, (time.process_time() - cpu) / done * 1e3, done / batches, log.size


def floor(folder: Path, batch_bytes: int, seconds: float) -> float:
    """Batches a second of pwrite + fdatasync over a preallocated file that is used again and again."""
    path = folder / "floor"
    block = os.urandom(batch_bytes)
    with path.open("wb") as file:
        file.write(bytes(max(4 << 20, batch_bytes)))
        os.fsync(file.fileno())
        count = at = 0
        began = time.perf_counter()
        while time.perf_counter() - began < seconds:
            os.pwrite(file.fileno(), block, at)
            os.fdatasync(file.fileno())
            at = (at + batch_bytes) % max(1, (4 << 20) - batch_bytes)
            count += 1
        rate = count / (time.perf_counter() - began)
    path.unlink()
    return rate


def compared(clients: int, seconds: float, folder: Path | None) -> None:
    rounds = []
    for _ in range(3):
        with tempfile.TemporaryDirectory(dir=folder) as name:
            made = settings(Path(name))
            rate, cpu, batch, records = asyncio.run(bench_append(made, clients, seconds / 3))
            size = made.path.stat().st_size / records
            bare = floor(Path(name), int(batch * size), seconds / 3)
            rounds.append((rate, cpu, batch, size, bare * batch, rate / bare / batch, bare))
    rate, cpu, batch, size, bare, ratio, syncs = (statistics.median(column) for column in zip(*rounds, strict=True))
    print(
        f"{clients:4} clients: {rate:7.0f} appends/s, {cpu:.3f} CPU ms, {batch:5.1f} a batch, {size:4.0f} B a record; bare fdatasync"
        f" of the same bytes: {bare:7.0f}/s ({syncs:.0f} syncs/s), ratio {ratio:.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=6.0, help="of each kind for each number of clients")
    parser.add_argument("--folder", type=Path, default=None, help="on the disk to measure")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        asyncio.run(bench_seal(Path(name)))
    for clients in (1, 16, 32, 128):
        compared(clients, arguments.seconds, arguments.folder)


if __name__ == "__main__":
    main()
