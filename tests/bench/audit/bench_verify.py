"""What verifying a million records costs: seconds, peak memory, bytes a record, and one inclusion proof among 2^20.

    python tests/bench/audit/bench_verify.py [--records 1048576] [--folder DIR]

Method. A log is filled through `append` by 256 tasks (400-byte body, one of 200 subjects) and exported three times: with no ciphertexts,
so that headers, leaf hashes and the root are what is checked; whole, so that every ciphertext is hashed too; and with the key of every
record, so that every body is decrypted. Each file, and the database, is verified by `python -m audit verify` in a process of its own;
seconds and peak memory are the kernel's figures for that process (user + system time and maximum resident set of `wait4`), so they
include the start of the interpreter. Three runs, of which the median, beside the figure scaled to a million records. Before each run the
bare hashing is timed: SHA-256 over as many bytes for the leaf, both ciphertexts and the tree, in a loop that does nothing else; the ratio
to it says more than seconds on a machine that others use. That memory is bounded is seen by comparing with the same files of a tenth of
the records (`--records 104857`). *Proof*: CPU time of a disclosure with its
inclusion proof, made from stored subtrees and verified before it is given, over 200 records spread over the log.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from audit import (
    AuditLog,
    AuditReader,
    Entry,
    LogSettings,
    Proof,
    Selection,
    Verifier,
    create_kek,
    create_signing_key,
    export_bundle,
)
from audit.bundle import Given, Piece, read_bundle, write_bundle
from audit.leaf import Record

BODY = os.urandom(400)


async def fill(made: LogSettings, records: int) -> None:
    began = time.perf_counter()
    async with AuditLog.open(made) as log:

        async def client(share: int) -> None:
            for number in range(share):
                await log.append(Entry(1, 1, BODY, subjects=(bytes((number % 200,)) * 16,)))

        async def progress() -> None:
            while True:
                await asyncio.sleep(10)
                print(f"  {log.size} of {records} recorded", flush=True)

        showing = asyncio.create_task(progress())
        await asyncio.gather(*(client(records // 256) for _ in range(256)))
        showing.cancel()
    print(f"{records} records in {time.perf_counter() - began:.0f} s", flush=True)


def without_content(whole: Path, out: Path) -> None:
    """The bundle again, its ciphertexts no longer kept."""

    def pieces(given: Iterator[Piece]) -> Iterator[Piece]:
        for piece in given:
            match piece:
                case Given(record):
                    yield Given(Record(record.seq, record.header, record.leaf_hash, None, None))
                case other:
                    yield other

    with whole.open("rb") as source, out.open("wb") as target:
        bundle = read_bundle(source)
        write_bundle(target, bundle.head, pieces(bundle.pieces), {})


def measure(file: Path, key: Path) -> tuple[float, float]:
    """CPU seconds and peak memory in MiB of one verification."""
    command = [sys.executable, "-m", "audit", "verify", str(file), "--key", str(key), "--json"]
    process = os.posix_spawn(
        sys.executable, command, os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)]
    )
    _, status, usage = os.wait4(process, 0)
    assert status == 0
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def bare(records: int, *, ciphertexts: bool) -> float:
    """CPU seconds of the hashing alone, as timed for a twentieth of them."""
    leaf, body, subjects, node = (os.urandom(size) for size in (143, len(BODY) + 50, 32, 65))
    sizes = (leaf, node, body, subjects) if ciphertexts else (leaf, node)
    began = time.process_time()
    for _ in range(records // 20):
        for content in sizes:
            sha256(content).digest()
    return (time.process_time() - began) * 20


def bench_proof(made: LogSettings, records: int) -> None:
    verifier = Verifier.parse(made.signing_key_file.with_suffix(".pub").read_text())
    with AuditReader.open(made.path, made.kek_file) as reader:
        costs, lengths = [], set()
        for seq in range(0, records, records // 200):
            began = time.process_time()
            disclosed = reader.disclose(seq, verifier, key=False)
            costs.append((time.process_time() - began) * 1e3)
            lengths.add(len(Proof.parse(disclosed.proof).hashes))
    print(
        f"inclusion proof among {records}: {statistics.median(costs):.2f} ms CPU, hashes: {sorted(lengths)}", flush=True
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, default=1 << 20)
    parser.add_argument("--folder", type=Path, default=None)
    arguments = parser.parse_args()
    records = arguments.records // 256 * 256
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        made = LogSettings(folder / "audit.db", folder / "kek", folder / "sign.key", "bench.test/log")
        create_kek(made.kek_file)
        create_signing_key(made.signing_key_file, made.origin)
        asyncio.run(fill(made, records))
        print(f"database: {made.path.stat().st_size / records:.0f} B a record, {len(BODY)} of them body", flush=True)
        bench_proof(made, records)
        whole, headers, opened = folder / "ciphertext hashes", folder / "headers and root", folder / "decryption"
        export_bundle(made.path, whole)
        without_content(whole, headers)
        with AuditReader.open(made.path, made.kek_file) as reader:
            export_bundle(made.path, opened, Selection(None, reader.keys()))
        for file in (headers, whole, opened, made.path):
            runs = []
            for _ in range(3):
                floor = bare(records, ciphertexts=file != headers)
                spent, peak = measure(file, folder / "sign.pub")
                runs.append((spent, peak, spent / floor))
            seconds, memory, ratio = (statistics.median(column) for column in zip(*runs, strict=True))
            size = file.stat().st_size / records
            print(
                f"{file.name:17}: {records} records, {size:.0f} B each: {seconds:.2f} s CPU, {memory:.0f} MiB at most; "
                f"scaled to a million: {seconds / records * 1e6:.2f} s; {ratio:.1f} × bare hashing",
                flush=True,
            )


if __name__ == "__main__":
    main()
