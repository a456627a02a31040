"""A real writer with the shim under it: reads a task a line, forks for each, and prints a line when the child has ended.

The child opens a log, takes the task's steps and writes what happened to the task's file of events, a JSON array a line, as it happens.
Forking spares each of some hundred faults the start of an interpreter; the child shares nothing with its parent but what was imported.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from audit import AuditError, AuditLog, AuditWriteError, Entry, LogSettings, export_bundle

SHIM = ctypes.CDLL(None)
SHIM.faults_struck.restype = ctypes.c_char_p
ORIGIN = "log.test/audit"
Tell = Callable[..., None]


def body_of(tag: str, size: int) -> bytes:
    return (tag.encode() + b" ").ljust(size, b".")


async def append(log: AuditLog, tell: Tell, tag: str, size: int, subject: int | None) -> bool:
    """Append one entry and tell how it went; whether it was recorded."""
    subjects = () if subject is None else (bytes((subject,)) * 16,)
    try:
        receipt = await log.append(Entry(1, 1, body_of(tag, size), subjects=subjects, opens=True))
    except AuditWriteError as error:
        tell("refused", error.reason, log.blocked)
        return False
    tell("ack", receipt.seq, receipt.leaf_hash.hex(), tag, size, subject)
    return True


async def change(tell: Tell, what: str, change: Any, *details: object) -> None:
    try:
        await change
    except AuditWriteError as error:
        tell("refused", error.reason, None)
    except AuditError as error:
        tell("failed", what, type(error).__name__)
    else:
        tell(what, *details)


async def step(log: AuditLog, tell: Tell, at: int, what: str, arguments: list[Any]) -> None:  # noqa: PLR0912  (a table)
    match what, arguments:
        case "append", [count, size, subject]:  # at once; subjects numbered on from this one
            await asyncio.gather(*(append(log, tell, f"{at}.{each}", size, subject + each) for each in range(count)))
        case "one-by-one", [count, size]:
            for each in range(count):
                await append(log, tell, f"{at}.{each}", size, None)
        case "without-end", [clients, size]:

            async def client(number: int) -> None:
                turn = 0
                while await append(log, tell, f"{at}.{number}.{turn}", size, number):
                    turn += 1

            await asyncio.gather(*(client(number) for number in range(clients)))
        case "erase", [subject]:
            tell("erasing", subject)
            await change(tell, "erased", log.erase_subject(bytes((subject,)) * 16), subject)
        case "renew", []:
            await change(tell, "renewed", log.renew_subject_keys())
        case "hand-over", []:
            await change(tell, "handed-over", log.hand_over())
        case "erase-without-end", []:  # a subject made, cut off, keys renewed, and again
            turn = 0
            while await append(log, tell, f"{at}.gone.{turn}", 200, 100 + turn % 100):
                tell("erasing", 100 + turn % 100)
                await change(tell, "erased", log.erase_subject(bytes((100 + turn % 100,)) * 16), 100 + turn % 100)
                await change(tell, "renewed", log.renew_subject_keys())
                turn += 1
        case "export-without-end", [database, folder]:
            for turn in range(1 << 30):
                await asyncio.to_thread(export_bundle, Path(database), Path(folder) / f"{turn}.bundle")
                tell("exported", turn)
        case "pings", [path]:  # answers every new number in a file, as long as the loop turns, until it says 0
            last = ""
            while last != "0":
                await asyncio.sleep(0.001)
                word = Path(path).read_text() if Path(path).exists() else ""
                if word not in {"", last}:
                    tell("pong", word)
                    last = word
        case "together", steps:
            await asyncio.gather(*(step(log, tell, at * 10 + n, each[0], each[1:]) for n, each in enumerate(steps)))
        case _:
            raise ValueError(what)


async def carry_out(task: dict[str, Any], tell: Tell) -> None:
    folder = Path(task["folder"])
    keys = Path(task["keys"])
    settings = LogSettings(folder / "audit.db", keys / "kek", keys / "sign.key", ORIGIN)
    try:
        async with AuditLog.open(settings) as log:
            tell("open", SHIM.faults_injected(), seen())
            for at, (what, *arguments) in enumerate(task["steps"]):
                await step(log, tell, at, what, arguments)
            tell("closing", SHIM.faults_injected(), seen(), log.blocked)
    except AuditError as error:
        tell("error", type(error).__name__, getattr(error, "reason", None), str(error))
    tell("closed", SHIM.faults_injected(), seen(), SHIM.faults_struck().decode())


def seen() -> list[int]:
    """Calls of each class so far."""
    return [SHIM.faults_seen(each) for each in range(7)]


def child(task: dict[str, Any]) -> None:
    events = os.open(task["events"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def tell(*event: object) -> None:
        line = json.dumps(event).encode()
        SHIM.faults_note(line)  # what was acknowledged stands in the journal among the writes it came after
        os.write(events, line + b"\n")

    SHIM.faults_watch(task["folder"].encode())
    if task["journal"]:
        SHIM.faults_journal(task["journal"].encode())
    if task["fault"]:
        *numbers, suffix, hold = task["fault"]
        SHIM.faults_arm(*numbers, suffix.encode(), hold.encode())
    asyncio.run(carry_out(task, tell))


def main() -> None:
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            code = 70
            try:
                child(json.loads(line))
                code = 0
            finally:
                if code:
                    traceback.print_exc()
                sys.stderr.flush()
                os._exit(code)
        os.write(1, b"%d\n" % pid)
        _, status = os.waitpid(pid, 0)
        os.write(1, b"%d\n" % os.waitstatus_to_exitcode(status))


main()
