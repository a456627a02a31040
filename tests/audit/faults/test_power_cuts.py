"""The power goes at every moment of a writer's work: what was acknowledged is on the disk, whatever the disk kept of the rest.

A real writer runs once with every call recorded; each moment of the record is then made into the files that a power cut would have left,
and a log is opened there. First with nothing but what was synced; then with any part of the rest, in any order, sectors torn.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.audit.faults.disk import Disk, read_journal
from tests.audit.faults.rig import Call, Fault, Kind, Rig, Story, check_left_behind, copied

STEPS = [
    ["append", 3, 300, 0],
    ["one-by-one", 3, 600],
    ["erase", 1],
    ["append", 2, 5000, 10],
    ["renew"],
    ["append", 3, 300, 20],
    ["hand-over"],
    ["append", 2, 300, 0],
    ["one-by-one", 5, 900_000],  # the write-ahead log goes into the database and is begun anew
    ["append", 4, 300, 30],
]


class Recorded:
    """A writer's work, and the disk at any moment of it."""

    def __init__(self, rig: Rig, template: Path, folder: Path, fault: Fault | None = None) -> None:
        self.folder = copied(template, folder)
        journal = folder.with_name("journal")
        journal.unlink(missing_ok=True)
        self._disk = Disk(self.folder)
        self.story: Story = rig.run(self.folder, STEPS, fault, journal)
        self.changes = list(read_journal(journal))

    def moments(self) -> Iterator[tuple[int, Disk]]:
        """The disk before every change and after the last; one and the same object, going on."""
        for number, change in enumerate(self.changes):
            yield number, self._disk
            self._disk.apply(change)
        yield len(self.changes), self._disk


@pytest.mark.parametrize("template", ["keys", "log"])
def test_nothing_acknowledged_is_lost_when_only_what_was_synced_stays(
    rig: Rig, tmp_path: Path, request: pytest.FixtureRequest, template: str
) -> None:
    recorded = Recorded(rig, request.getfixturevalue(template), tmp_path / "log")
    assert len(recorded.story.acknowledged) == 22
    cuts = [n for n, change in enumerate(recorded.changes) if change.what == "S"]
    tried = 0
    for number, disk in recorded.moments():
        if number in cuts or number == len(
            recorded.changes
        ):  # between two syncs nothing becomes surer: the last moment says most
            disk.write_sure(tmp_path / "after")
            check_left_behind(tmp_path / "after", disk.told)
            shutil.rmtree(tmp_path / "after")
            tried += 1
    assert tried > 40


LONG = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.mark.parametrize(
    ("template", "moments"),
    [("keys", 30), ("log", 60), pytest.param("keys", 3000, marks=LONG), pytest.param("log", 3000, marks=LONG)],
)
def test_nothing_acknowledged_is_lost_whatever_stays_of_what_was_not_synced(
    rig: Rig, tmp_path: Path, request: pytest.FixtureRequest, template: str, moments: int
) -> None:
    recorded = Recorded(rig, request.getfixturevalue(template), tmp_path / "log")
    chance = random.Random(moments)
    each = max(1, moments // len(recorded.changes))
    chosen = set(chance.sample(range(len(recorded.changes)), min(moments, len(recorded.changes))))
    for number, disk in recorded.moments():
        for _ in range(each if number in chosen else 0):
            disk.write_any(tmp_path / "after", chance)
            check_left_behind(tmp_path / "after", disk.told)
            shutil.rmtree(tmp_path / "after")


def test_a_disk_that_says_synced_and_is_not_loses_entries_and_this_is_where_it_shows(
    rig: Rig, log: Path, tmp_path: Path
) -> None:
    """No program can see such a disk. That the check above fails on it shows that the check can fail."""
    syncs, _ = rig.run(copied(log, tmp_path / "log"), [], Fault(Call.SYNC, 1 << 30, suffix="audit.db-wal")).seen(
        Call.SYNC
    )
    lying = Fault(Call.SYNC, syncs, Kind.LIE, lasting=True, suffix="audit.db-wal")
    recorded = Recorded(rig, log, tmp_path / "log", lying)
    assert recorded.story.reasons == set()
    acknowledged = [n for n, change in enumerate(recorded.changes) if change.what == "A" and b'"ack"' in change.content]
    for number, disk in recorded.moments():
        if number == acknowledged[3]:
            disk.write_sure(tmp_path / "after")
            with pytest.raises(AssertionError, match="lost"):
                check_left_behind(tmp_path / "after", disk.told)
