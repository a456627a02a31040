"""Content whose time is over goes from a running service's log, and the log's key is replaced between two runs."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from appliance.events import DECISIONS, ContentDropped, Intent, LogRead, Outcome, Status, entry
from audit import AuditError, AuditLog
from tests.e2e.running import Installed, running
from tests.e2e.test_command_line import appliance
from tests.e2e.upstream import Upstream

DAY_US = 86_400_000_000


async def long_ago(installed: Installed, days: int) -> None:
    """Records as they would have been made then."""
    then = time.time_ns() // 1000 - days * DAY_US
    async with AuditLog.open(installed.settings.log, clock=lambda: then) as log:
        for number in range(3):
            await log.append(entry(Outcome(intent=number, status=Status.COMPLETED)))
        await log.append(entry(ContentDropped(DECISIONS, 1, 0)))


def test_a_service_that_starts_drops_what_is_over(tmp_path: Path, upstream: Upstream) -> None:
    installed = Installed(tmp_path, upstream.base_url, top="[audit]\nkeep_decisions_days = 30\n")
    asyncio.run(long_ago(installed, 40))
    with running(installed) as service:
        assert service.chat(model="local").status_code == 200
        until = time.monotonic() + 30
        while not [record for record in installed.records() if not record.kept]:
            assert time.monotonic() < until, "nothing was dropped"
            time.sleep(0.02)
    assert [record.seq for record in installed.records() if not record.kept] == [0, 1, 2]
    dropped = installed.events(ContentDropped)[-1]
    assert (dropped.retention, dropped.records) == (DECISIONS, 3)
    assert len(installed.events(Intent)) == 1
    report = installed.verify()
    assert (report.ok, report.dropped) == (True, 3)
    listed = appliance("audit", "list", "--settings", installed.path)
    assert (listed.exit_code, listed.output.count("содержимое удалено")) == (0, 3)


def test_without_a_time_nothing_is_ever_dropped(tmp_path: Path, upstream: Upstream) -> None:
    installed = Installed(tmp_path, upstream.base_url)
    asyncio.run(long_ago(installed, 4000))
    with running(installed) as service:
        assert service.chat(model="local").status_code == 200
    assert all(record.kept for record in installed.records())


@pytest.mark.parametrize("named", [False, True])
def test_the_key_of_the_log_is_replaced_while_the_service_stands(
    tmp_path: Path, upstream: Upstream, *, named: bool
) -> None:
    installed = Installed(tmp_path, upstream.base_url)
    with running(installed) as service:
        assert service.chat(model="local", headers={"X-Subject": b"client-1"}).status_code == 200
        options = ["--new-file", tmp_path / "fresh"] if named else []
        refused = appliance("keys", "rotate", *options, "--settings", installed.path)
        assert (refused.exit_code, "другой процесс" in refused.output) == (2, True)
    before = installed.records()
    old = installed.settings.kek_file.read_bytes()
    done = appliance("keys", "rotate", *options, "--settings", installed.path)
    assert done.exit_code == 0, done.output
    if named:
        assert installed.settings.kek_file.read_bytes() == old
        with pytest.raises(AuditError):
            installed.records()
        installed.settings.kek_file.write_bytes((tmp_path / "fresh").read_bytes())
    assert installed.settings.kek_file.read_bytes() != old
    assert installed.records() == before
    with running(installed) as service:
        assert service.chat(model="local", headers={"X-Subject": b"client-1"}).status_code == 200
    assert [(event.what, event.records) for event in installed.events(LogRead)] == [("kek-rotated", 2)]
    assert not list(installed.settings.kek_file.parent.glob("*.next"))
    assert installed.verify().ok


def test_a_replacement_broken_off_is_finished_by_the_same_command(
    tmp_path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = Installed(tmp_path, upstream.base_url)
    with running(installed) as service:
        assert service.chat(model="local").status_code == 200
    before = installed.records()

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("appliance.commands.rotating.noted", stop)
        assert appliance("keys", "rotate", "--settings", installed.path).exit_code != 0
    with pytest.raises(AuditError):
        installed.records()
    done = appliance("keys", "rotate", "--settings", installed.path)
    assert done.exit_code == 0, done.output
    assert installed.records() == before
