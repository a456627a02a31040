"""A process that appends without end and prints the number and the leaf hash of every acknowledged entry: to be killed."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from audit import AuditLog, Entry, LogSettings


async def main(folder: Path) -> None:
    settings = LogSettings(folder / "audit.db", folder / "kek", folder / "sign.key", "log.test/audit")

    async def client(log: AuditLog, number: int) -> None:
        while True:
            receipt = await log.append(Entry(1, 1, os.urandom(300), subjects=(bytes((number,)) * 16,), opens=True))
            os.write(1, b"%d %s\n" % (receipt.seq, receipt.leaf_hash.hex().encode()))

    async with AuditLog.open(settings) as log:
        await asyncio.gather(*(client(log, number) for number in range(16)))


asyncio.run(main(Path(sys.argv[1])))
