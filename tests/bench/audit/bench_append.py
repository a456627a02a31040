"""What an append costs: CPU of sealing, durable appends a second, bytes a record, and the same bytes through bare fdatasync.

    python tests/bench/audit/bench_append.py [--seconds 3] [--folder DIR]

Method. *Seal*: process CPU time of the sealer alone over 20 000 entries (400-byte body, one of 200 subjects, a commitment to 2 KB), and
again without subject and commitment. *Append*: N tasks append one after another for some seconds into a fresh log; the rate is of
acknowledged appends; CPU is of the whole process, all threads. *Floor*: right after each append run, on the same disk, the same
number of batches of the same mean size is written by a plain loop of write + fdatasync over a file preallocated like SQLite's
write-ahead log; the ratio is append rate / floor rate. *Size*: file size after a clean close over records. Runs of one table line are
interleaved, so that a noisy neighbour disturbs both.
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
from audit.generations import Generations
from audit.keyfiles import load_signing_key
from audit.logfile import prepare_file
from audit.sealing import Kek
from audit.store import Database, connect_writer
from audit.writer import BatchWriter, _Batch

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


def bench_seal(folder: Path) -> None:
    made = settings(folder)
    prepare_file(made.path)
    connection = connect_writer(made.path, None)
    database = Database(connection, made.path)
    kek = Kek(made.kek_file.read_bytes())
    generations = Generations.load(made.subject_keys, kek)
    writer = BatchWriter.start(database, kek, load_signing_key(made.signing_key_file), generations)
    writer.write(database, [entry(number) for number in range(200)])
    for name, entries in {
        "body 400 B": [Entry(1, 1, BODY)] * 100,
        "body 400 B, one subject, commitment to 2 KB": [entry(number) for number in range(100)],
    }.items():
        rounds = []
        for _ in range(5):
            began = time.process_time()
            for _ in range(40):
                batch = _Batch(200)
                for each in entries:
                    writer._sealer.seal(database, batch, each)
            rounds.append((time.process_time() - began) / 4000 * 1e6)
        print(f"seal, {name}: {statistics.median(rounds):.1f} µs CPU (best {min(rounds):.1f})")
    stages(database, writer)
    connection.close()


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


async def bench_append(made: LogSettings, clients: int, seconds: float) -> tuple[float, float, float]:
    """Appends a second, CPU milliseconds an append, appends a batch."""
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
        return done / elapsed, (time.process_time() - cpu) / done * 1e3, done / batches


def floor(folder: Path, batch_bytes: int, seconds: float) -> float:
    """Batches a second of write + fdatasync over a preallocated file that is used again and again."""
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


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--folder", type=Path, default=None)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        bench_seal(Path(name))
    for clients in (1, 16, 32, 128):
        with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
            made = settings(Path(name))
            rate, cpu, batch = asyncio.run(bench_append(made, clients, arguments.seconds))
            records = int(rate * arguments.seconds)
            size = made.path.stat().st_size / records
            bare = floor(Path(name), int(batch * size), arguments.seconds / 2) * batch
        print(
            f"{clients:4} clients: {rate:7.0f} appends/s, {cpu:.3f} CPU ms, {batch:5.1f} a batch, {size:4.0f} B a record; "
            f"bare fdatasync of the same bytes: {bare:7.0f}/s, ratio {rate / bare:.2f}"
        )


if __name__ == "__main__":
    main()
