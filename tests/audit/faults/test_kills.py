"""kill -9 at random moments, of a writer that appends, erases people, renews keys and exports, all at once."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

from audit import AuditLog, LogInUseError, verify_file
from tests.audit.faults.rig import Event, Rig, check_left_behind, copied, events_of, settings_in, told

ROUNDS_OF_ONE_LOG = 20


def killed(rig: Rig, folder: Path, exports: Path, moment: int) -> list[Event]:
    """Kill a busy writer once it has told so much; everything it told."""
    busy = [
        "together",
        ["without-end", 8, 300],
        ["erase-without-end"],
        ["export-without-end", str(folder / "audit.db"), str(exports)],
    ]
    pid = rig.start(folder, [busy])
    events = events_of(folder)
    while not events.exists() or events.stat().st_size < moment:
        time.sleep(0.0005)
    os.kill(pid, signal.SIGKILL)
    story = rig.wait(folder)
    assert story.exit_code == -signal.SIGKILL
    assert not story.of("refused", "failed", "error")
    return story.events


@pytest.mark.parametrize(
    ("seed", "rounds"), [(1, 20), pytest.param(2, 200, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])]
)
def test_a_killed_writer_has_lost_nothing_that_it_acknowledged(
    rig: Rig, keys: Path, tmp_path: Path, seed: int, rounds: int
) -> None:
    chance = random.Random(seed)
    acknowledged = erased = exported = 0
    for number in range(rounds):
        if number % ROUNDS_OF_ONE_LOG == 0:
            folder, events = copied(keys, tmp_path / "log"), list[Event]()
        exports = tmp_path / f"exports-{number}"
        exports.mkdir()
        events += killed(rig, folder, exports, chance.randint(0, 15_000))
        check_left_behind(folder, events)
        exported += check_exports(folder, exports)
        acknowledged += sum(1 for event in events if event[0] == "ack")
        erased += sum(1 for event in events if event[0] == "erased")
    assert acknowledged > 20 * rounds
    assert erased > rounds
    assert exported > rounds


def check_exports(folder: Path, exports: Path) -> int:
    """An export that has its name is whole, the newest of all; at most one lies unfinished under another."""
    vkey = (folder / "sign.pub").read_text()
    finished = [path for path in exports.iterdir() if not path.name.startswith(".")]
    newest = sorted(finished, key=lambda path: int(path.stem))[-2:]
    assert all(verify_file(path, vkey).ok for path in newest)
    assert len(list(exports.iterdir())) - len(finished) <= 1
    return len(finished)


async def test_a_second_process_is_refused_until_the_first_is_gone(rig: Rig, log: Path, tmp_path: Path) -> None:
    folder = copied(log, tmp_path / "log")
    pid = rig.start(folder, [["without-end", 2, 300]])
    while not told(folder):
        time.sleep(0.001)
    with pytest.raises(LogInUseError):
        async with AuditLog.open(settings_in(folder)):
            pytest.fail("two writers")
    os.kill(pid, signal.SIGKILL)
    story = rig.wait(folder)
    assert (story.exit_code, story.of("refused")) == (-signal.SIGKILL, [])
    async with AuditLog.open(settings_in(folder)) as opened:
        assert opened.size >= len(story.acknowledged)
