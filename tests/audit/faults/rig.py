"""Starts writers with the shim under them, and judges what they leave behind."""

from __future__ import annotations

import asyncio
import errno
import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from enum import IntEnum
from pathlib import Path
from typing import Any

from msgspec import Struct

from audit import AuditLog, AuditReader, Entry, LogSettings, verify_file
from tests.audit.conftest import ORIGIN

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
Step = Sequence[object]
Event = list[Any]


class Call(IntEnum):
    """Classes of system calls, numbered as in shim.c."""

    WRITE = 0
    SYNC = 1
    TRUNCATE = 2
    OPEN = 3
    READ = 4
    RENAME = 5
    UNLINK = 6


class Kind(IntEnum):
    """What happens to the call."""

    FAIL = 0
    SHORT = 1  # half is written, and that is what the call says
    TORN = 2  # half is written, and the call fails
    HOLD = 3  # it does not return until it is let go
    LIE = 4  # it says it was done


class Fault(Struct, frozen=True):
    """The call number `at` of a class, of files whose name ends in `suffix`, goes wrong; all later ones too when `lasting`."""

    call: Call
    at: int
    kind: Kind = Kind.FAIL
    error: int = errno.EIO
    lasting: bool = False
    suffix: str = ""
    hold: str = ""

    def packed(self) -> list[object]:
        return [self.call, self.at, self.kind, self.error, self.lasting, self.suffix, self.hold]


class Story(Struct, frozen=True):
    """What a writer told before it ended."""

    exit_code: int
    events: list[Event]

    def of(self, *names: str) -> list[Event]:
        return [event for event in self.events if event[0] in names]

    @property
    def acknowledged(self) -> list[Event]:
        return self.of("ack")

    @property
    def struck(self) -> str:
        """The file that the fault came upon; empty when it never came."""
        return str(self.of("closed")[0][3])

    @property
    def phase(self) -> str:
        """When it came: at the `start`, while the log was `open`, or at the `end`."""
        injected = [self.of(name)[0][1] if self.of(name) else None for name in ("open", "closing")]
        match injected:
            case [0, 0]:
                return "end"
            case [0, _]:
                return "open"
            case _:
                return "start"

    @property
    def blocked(self) -> str | None:
        """What the log said of itself at the end."""
        reason: str | None = self.of("closing")[0][3]
        return reason

    @property
    def reasons(self) -> set[str]:
        return {event[1] for event in self.of("refused")}

    def seen(self, call: Call) -> tuple[int, int]:
        """How many calls there were when the log had opened, and before it closed."""
        return self.of("open")[0][2][call], self.of("closing")[0][2][call]


class Rig:
    """The process that forks writers."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def start(
        self,
        folder: Path,
        steps: Sequence[Step],
        fault: Fault | None = None,
        journal: Path | None = None,
        keys: Path | None = None,
    ) -> int:
        """Start a writer over the log in a folder, its keys there or in another; its process id."""
        events = events_of(folder)
        events.unlink(missing_ok=True)
        task = {
            "folder": str(folder),
            "keys": str(keys or folder),
            "events": str(events),
            "journal": str(journal) if journal else "",
            "fault": fault.packed() if fault else None,
            "steps": steps,
        }
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(task) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def wait(self, folder: Path) -> Story:
        """How the writer that was started ended."""
        assert self._process.stdout
        code = int(self._process.stdout.readline())
        return Story(code, told(folder))

    def run(
        self,
        folder: Path,
        steps: Sequence[Step],
        fault: Fault | None = None,
        journal: Path | None = None,
        keys: Path | None = None,
    ) -> Story:
        """Let a writer take its steps to the end."""
        self.start(folder, steps, fault, journal, keys)
        story = self.wait(folder)
        assert story.exit_code == 0, story
        return story


def events_of(folder: Path) -> Path:
    return folder.with_name(folder.name + ".events")


def told(folder: Path) -> list[Event]:
    """What the writer has told so far; a line cut short by its death does not count."""
    path = events_of(folder)
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith(b"\n")]


def build_shim(folder: Path) -> Path:
    """The shim, compiled. Needs a C compiler (Debian: gcc, libc6-dev)."""
    shim = folder / "shim.so"
    subprocess.run(
        ["cc", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", shim, HERE / "shim.c"], check=True
    )
    return shim


@contextmanager
def running_rig(shim: Path) -> Iterator[Rig]:
    """The process, ended by closing its input."""
    with subprocess.Popen(
        [sys.executable, HERE / "subject.py"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "LD_PRELOAD": str(shim)},
    ) as process:
        yield Rig(process)


def settings_in(folder: Path) -> LogSettings:
    return LogSettings(folder / "audit.db", folder / "kek", folder / "sign.key", ORIGIN)


def copied(template: Path, folder: Path) -> Path:
    """A fresh copy of a prepared folder, in place of what stands there."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(template, folder)
    return folder


def check_left_behind(folder: Path, events: Sequence[Event]) -> None:
    """Without the shim: everything acknowledged is there and opens, all verifies, and the log goes on."""
    settings = settings_in(folder)
    acknowledged = [event[1:] for event in events if event[0] == "ack"]
    asyncio.run(_go_on(settings, events))
    report = verify_file(settings.path, settings.signing_key_file.with_suffix(".pub").read_text())
    assert report.ok, report.damage
    with closing(sqlite3.connect(f"file:{settings.path}?mode=ro", uri=True)) as connection:
        hashes = dict(connection.execute("SELECT seq, lower(hex(leaf_hash)) FROM records"))
    assert {seq: hashes.get(seq) for seq, *_ in acknowledged} == {seq: hashed for seq, hashed, *_ in acknowledged}
    with AuditReader.open(settings.path, settings.kek_file) as reader:
        bodies = {entry.seq: entry.body for entry in reader.entries()}  # every one decrypts
    assert sorted(bodies) == list(range(report.size))
    for seq, _, tag, size, _ in acknowledged:
        assert (bodies[seq].split(b" ")[0].decode(), len(bodies[seq])) == (tag, size)


async def _go_on(settings: LogSettings, events: Sequence[Event]) -> None:
    tied, cut, unsure = _ties(events)
    async with AuditLog.open(settings) as log:
        for subject in tied.keys() | cut.keys():
            found = set(await log.of_subject(bytes((subject,)) * 16))
            assert subject in unsure or tied.get(subject, set()) <= found, "an acknowledged tie to a person is lost"
            assert not cut.get(subject, set()) & found, "an erased tie to a person is back"
        size = log.size
        assert (await log.append(Entry(2, 1, b"after", subjects=(b"\xee" * 16,)))).seq == size
        assert (log.blocked, (await log.read(size)).subjects) == (None, (b"\xee" * 16,))


def _ties(events: Sequence[Event]) -> tuple[dict[int, set[int]], dict[int, set[int]], set[int]]:
    """Subject → entries that lead from it; those that an acknowledged erasure cut; subjects whose erasure nobody acknowledged."""
    tied: dict[int, set[int]] = {}
    cut: dict[int, set[int]] = {}
    unsure: set[int] = set()
    for what, *details in events:
        match what, details:
            case "ack", [seq, _, _, _, int(subject)]:
                tied.setdefault(subject, set()).add(seq)
            case "erasing", [subject]:
                unsure.add(subject)
            case "erased", [subject]:
                unsure.discard(subject)
                cut.setdefault(subject, set()).update(tied.pop(subject, set()))
            case _:
                pass
    return tied, cut, unsure
