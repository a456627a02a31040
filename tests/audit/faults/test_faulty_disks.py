"""Every system call of a real writer fails in turn, below SQLite: nothing acknowledged is lost, and the log says the right word.

The calls are those on the log's folder: database, write-ahead log, key files, the folder itself. What no test of this kind can see is a
disk that says "synced" and has not: `test_power_cuts.py` shows what it would cost.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path

import pytest

from audit.errors import WriteFailure
from tests.audit.faults.rig import Call, Fault, Kind, Rig, Step, Story, check_left_behind, copied, told

STEPS = [
    ["append", 4, 300, 0],
    ["erase", 1],
    ["append", 2, 900, 10],
    ["renew"],
    ["append", 4, 300, 20],  # of persons not met before: their keys hang on the newest generation
]
LONGER = [*STEPS, ["hand-over"], ["append", 3, 5000, 0], ["erase", 20], ["renew"], ["append", 2, 300, 30]]
LOG_FILES = {"audit.db", "audit.db-wal"}
ALL, SOME = 1, 7
slow = pytest.mark.slow


def every_point(
    rig: Rig, template: Path, folder: Path, fault: Fault, stride: int, steps: Sequence[Step] = STEPS
) -> Iterator[Story]:
    """A run for every call of the class (or every so many), until one ends without meeting the fault; each judged."""
    for at in count(fault.at, stride):
        place = copied(template, folder)
        meant = Fault(fault.call, at, fault.kind, fault.error, fault.lasting, fault.suffix)
        story = rig.run(place, steps, meant)
        check_left_behind(place, story.events)
        check_told(story, meant, folder.name)
        if not story.struck:
            assert at > 0
            return
        yield story


def check_told(story: Story, fault: Fault, folder: str) -> None:
    """The right word, and none of success after a failure that does not pass."""
    failed = [n for n, event in enumerate(story.events) if event[0] == "refused" and not WriteFailure(event[1]).passes]
    after = story.events[failed[0] :] if failed else []
    assert not [event for event in after if event[0] in {"ack", "erased", "renewed", "handed-over"}], story
    if not story.struck or story.struck == folder or fault.kind is Kind.SHORT:
        return  # the folder: SQLite's own sync of it fails in silence
    match story.phase:
        case "start":
            assert story.of("error", "open"), story
        case "open" if story.struck not in LOG_FILES:
            assert story.of("failed"), story
        case "open":
            assert story.reasons == expected(fault), story
            assert fault.error == errno.ENOSPC or story.blocked in story.reasons, story
        case "end":
            assert not story.reasons, story


def expected(fault: Fault) -> set[str]:
    match fault.call, fault.error:
        case Call.WRITE, errno.ENOSPC:
            return {"disk-full"}
        case Call.READ, _:
            return {"damaged"}  # SQLite's word for a page that cannot be read
        case _:
            return {"io-error"}


@pytest.mark.parametrize("longer", [False, pytest.param(True, marks=slow)])
@pytest.mark.parametrize(
    ("fault", "stride"),
    [
        (Fault(Call.WRITE, 0, Kind.FAIL, errno.EIO), ALL),
        (Fault(Call.WRITE, 0, Kind.FAIL, errno.ENOSPC), ALL),
        (Fault(Call.WRITE, 0, Kind.TORN, errno.EIO), SOME),
        (Fault(Call.WRITE, 0, Kind.TORN, errno.ENOSPC), SOME),
        (Fault(Call.WRITE, 0, Kind.SHORT, 0), SOME),
        (Fault(Call.SYNC, 0, Kind.FAIL, errno.EIO), ALL),
        (Fault(Call.SYNC, 0, Kind.FAIL, errno.ENOSPC), ALL),
        (Fault(Call.TRUNCATE, 0, Kind.FAIL, errno.EIO), ALL),
        (Fault(Call.RENAME, 0, Kind.FAIL, errno.EIO), ALL),
        (Fault(Call.UNLINK, 0, Kind.FAIL, errno.EIO), ALL),
        (Fault(Call.OPEN, 0, Kind.FAIL, errno.EMFILE), ALL),
        (Fault(Call.READ, 0, Kind.FAIL, errno.EIO), SOME),
    ],
    ids=lambda given: (
        f"{given.call.name}-{given.kind.name}-{errno.errorcode.get(given.error, 'ok')}"
        if isinstance(given, Fault)
        else None
    ),
)
def test_each_call_that_fails_once_is_told_and_loses_nothing(
    rig: Rig, log: Path, tmp_path: Path, fault: Fault, stride: int, *, longer: bool
) -> None:
    stride, steps = (ALL, LONGER) if longer else (stride, STEPS)
    assert len(list(every_point(rig, log, tmp_path / "log", fault, stride, steps))) >= 2


def test_a_folder_that_cannot_be_synced_holds_no_log(rig: Rig, log: Path, tmp_path: Path) -> None:
    """SQLite syncs it after it made the write-ahead log, and says nothing when it cannot; keys lie elsewhere."""
    folder, keys = copied(log, tmp_path / "log"), copied(log, tmp_path / "keys")
    story = rig.run(folder, STEPS, Fault(Call.SYNC, 0, lasting=True, suffix="log"), keys=keys)
    assert ([event[1] for event in story.of("error")], story.of("open", "ack")) == (["LogFileError"], [])


@pytest.mark.parametrize(
    ("call", "error", "stride"),
    [
        (Call.WRITE, errno.ENOSPC, 9),
        (Call.WRITE, errno.EIO, 9),
        (Call.SYNC, errno.EIO, 3),
        pytest.param(Call.WRITE, errno.ENOSPC, ALL, marks=slow),
        pytest.param(Call.WRITE, errno.EIO, ALL, marks=slow),
        pytest.param(Call.SYNC, errno.EIO, ALL, marks=slow),
    ],
)
def test_a_disk_that_stays_bad_is_told_each_time_and_costs_nothing_that_was_acknowledged(
    rig: Rig, log: Path, tmp_path: Path, call: Call, error: int, stride: int
) -> None:
    fault = Fault(call, 0, Kind.FAIL, error, lasting=True)
    for story in every_point(rig, log, tmp_path / "log", fault, stride):
        told_of = [n for n, event in enumerate(story.events) if event[0] in {"refused", "failed", "error"}]
        assert not [event for event in story.events[min(told_of, default=1 << 30) :] if event[0] == "ack"]


@pytest.mark.parametrize(
    ("call", "error", "stride"),
    [
        (Call.WRITE, errno.ENOSPC, 8),
        (Call.WRITE, errno.EIO, 8),
        (Call.SYNC, errno.EIO, ALL),
        (Call.RENAME, errno.EIO, ALL),
        pytest.param(Call.WRITE, errno.ENOSPC, ALL, marks=slow),
        pytest.param(Call.WRITE, errno.EIO, ALL, marks=slow),
        pytest.param(Call.OPEN, errno.EMFILE, ALL, marks=slow),
        pytest.param(Call.READ, errno.EIO, ALL, marks=slow),
        pytest.param(Call.UNLINK, errno.EIO, ALL, marks=slow),
    ],
)
def test_a_log_whose_beginning_was_disturbed_begins_at_the_next_start(
    rig: Rig, keys: Path, tmp_path: Path, call: Call, error: int, stride: int
) -> None:
    steps = [["append", 2, 300, 0]]
    stories = list(every_point(rig, keys, tmp_path / "log", Fault(call, 0, Kind.FAIL, error), stride, steps))
    assert any(story.phase == "start" for story in stories)


LARGE = [["one-by-one", 6, 900_000], ["append", 2, 300, 0], ["one-by-one", 6, 900_000], ["append", 2, 300, 0]]


@pytest.mark.parametrize(
    ("call", "error", "at"),
    [
        (Call.WRITE, errno.EIO, 100),
        (Call.WRITE, errno.ENOSPC, 700),
        (Call.SYNC, errno.EIO, 0),
        (Call.SYNC, errno.EIO, 1),
    ],
)
def test_an_error_while_the_write_ahead_log_is_moved_into_the_database_is_not_passed_over(
    rig: Rig, log: Path, tmp_path: Path, call: Call, error: int, at: int
) -> None:
    """SQLite's own checkpoint would keep silent, and the write-ahead log grow for ever."""
    folder = copied(log, tmp_path / "log")
    fault = Fault(call, at, Kind.FAIL, error, suffix="audit.db")
    story = rig.run(folder, LARGE, fault)
    assert (story.struck, story.phase) == ("audit.db", "open")
    check_told(story, fault, "log")
    check_left_behind(folder, story.events)


def test_a_write_ahead_log_stays_short_however_much_is_written(rig: Rig, log: Path, tmp_path: Path) -> None:
    folder = copied(log, tmp_path / "log")
    rig.start(folder, [["one-by-one", 30, 900_000], ["pings", str(tmp_path / "ping")]])
    ping(folder, tmp_path / "ping", "1")
    length = (folder / "audit.db-wal").stat().st_size
    ping(folder, tmp_path / "ping", "0")
    story = rig.wait(folder)
    assert len(story.acknowledged) == 30
    assert length < 6_000_000
    check_left_behind(folder, story.events)


@pytest.mark.parametrize("count", [40])
def test_a_batch_costs_exactly_one_sync(rig: Rig, log: Path, tmp_path: Path, count: int) -> None:
    folder = copied(log, tmp_path / "log")
    watching = Fault(Call.SYNC, 1 << 30)  # never comes: for its count
    opened, closing = rig.run(folder, [["one-by-one", count, 300]], watching).seen(Call.SYNC)
    assert closing - opened == count
    opened, closing = rig.run(folder, [["append", 100, 300, 0]], watching).seen(Call.SYNC)
    assert closing - opened == 1  # a hundred at once wait for one and the same


def test_while_the_disk_does_not_answer_nothing_is_acknowledged_and_the_loop_turns(
    rig: Rig, log: Path, tmp_path: Path
) -> None:
    folder, held, pings = copied(log, tmp_path / "log"), tmp_path / "held", tmp_path / "ping"
    syncs, _ = rig.run(folder, [], Fault(Call.SYNC, 1 << 30, suffix="audit.db-wal")).seen(Call.SYNC)
    copied(log, folder)
    fault = Fault(Call.SYNC, syncs + 1, Kind.HOLD, suffix="audit.db-wal", hold=str(held))
    rig.start(
        folder,
        [["append", 2, 300, 0], ["together", ["append", 4, 300, 0], ["pings", str(pings)], ["append", 9, 99, 5]]],
        fault,
    )
    until(held.exists)
    for number in ("1", "2", "3"):
        ping(folder, pings, number)
        assert len([event for event in told(folder) if event[0] == "ack"]) == 2
    held.with_name("held.go").touch()
    until(lambda: len([event for event in told(folder) if event[0] == "ack"]) == 15)
    ping(folder, pings, "0")
    story = rig.wait(folder)
    assert (story.struck, story.reasons, story.exit_code) == ("audit.db-wal", set(), 0)
    check_left_behind(folder, story.events)


def test_a_write_ahead_log_taken_away_under_the_writer_is_noticed_before_the_next_entry(
    rig: Rig, log: Path, tmp_path: Path
) -> None:
    folder, pings = copied(log, tmp_path / "log"), tmp_path / "ping"
    rig.start(folder, [["append", 4, 300, 0], ["pings", str(pings)], ["append", 4, 300, 0]])
    ping(folder, pings, "1")
    (folder / "audit.db-wal").unlink()
    ping(folder, pings, "0")
    story = rig.wait(folder)
    assert (len(story.acknowledged), story.reasons, story.blocked) == (4, {"moved"}, "moved")
    check_left_behind(folder, story.events)  # closing moved into the database what the file without a name held


def ping(folder: Path, pings: Path, number: str) -> None:
    """Wait until the writer's event loop has answered this number."""
    fresh = pings.with_name("ping.new")
    fresh.write_text(number)
    fresh.replace(pings)
    until(lambda: ["pong", number] in told(folder))


def until(holds: Callable[[], bool]) -> None:
    """Wait for what is bound to come; the test's own limit of time ends what is not."""
    while not holds():
        time.sleep(0.002)
