"""A log that could not write is tried again when somebody asks whether we are ready: nobody else would."""

from __future__ import annotations

from pathlib import Path

from appliance.auth import Keyring
from appliance.events import Resumed, decode
from appliance.service import Service, Surfaces
from appliance.settings import Settings
from appliance.witnesses import Confirmation, Witnesses
from audit import AuditWriteError, Entry, WriteFailure


class FullThenFree:
    """A log on a disk that is full until the test frees it."""

    def __init__(self) -> None:
        self.blocked: str | None = "disk-full"
        self.full = True
        self.entries: list[Entry] = []

    async def append(self, entry: Entry) -> None:
        if self.full:
            raise AuditWriteError(WriteFailure.DISK_FULL)
        self.blocked = None
        self.entries.append(entry)


async def test_a_full_disk_makes_us_unready_until_it_is_freed_and_that_is_recorded(tmp_path: Path) -> None:
    log = FullThenFree()
    witnesses = Witnesses(log, None, (), Confirmation(1, 1.0, 1.0), tmp_path / "rolled-back")
    parts = dict.fromkeys(Surfaces._fields)  # of these parts only the log is asked
    surfaces = Surfaces(**{**parts, "witnesses": witnesses})
    service = Service(Settings(state=tmp_path), Keyring(()), surfaces, log, {})

    await service.try_log()
    assert (service.readiness()["audit"], service.ready()) == ("disk-full", False)

    log.full = False
    await service.try_log()
    await service.try_log()

    assert service.readiness()["audit"] == "ok"
    assert [decode(entry.kind, entry.schema, entry.body) for entry in log.entries] == [Resumed(reason="disk-full")]
