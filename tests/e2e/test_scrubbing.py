"""A running service reads its log again, at leisure and when asked, and says what is damaged where somebody looks."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from appliance.events import ScrubDamaged, SelfChecked, decode
from tests.e2e.running import Installed, running
from tests.e2e.test_command_line import appliance
from tests.e2e.upstream import Upstream


def checks(installed: Installed) -> list[SelfChecked | ScrubDamaged]:
    events = [decode(record.kind, record.schema, record.body) for record in installed.records()]
    return [event for event in events if isinstance(event, SelfChecked | ScrubDamaged)]


@pytest.fixture
def installed(tmp_path: Path, upstream: Upstream) -> Installed:
    (tmp_path / "state/keys").mkdir(parents=True)
    staff = '[[staff]]\nid = "petrova"\nduties = ["security"]\nfile = "state/keys/petrova"\n'
    return Installed(tmp_path, upstream.base_url, extra=staff + "[audit]\nscrub_hours = 0.0002\n")


def damage(installed: Installed) -> None:
    """Of a record that no start looks at again: it does while the log is that short, so this is done under a running service."""
    with closing(sqlite3.connect(installed.settings.log.path)) as connection, connection:
        connection.execute("UPDATE records SET body = zeroblob(length(body)) WHERE seq = 1")


def until(reached: object, what: str) -> None:
    end = time.monotonic() + 60
    while not reached():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def test_it_reads_itself_again_and_again(installed: Installed) -> None:
    with running(installed) as service:
        assert service.chat(model="local").status_code == 200
        until(lambda: len(checks(installed)) > 2, "nothing was read again")
        assert "audit-scrub" not in service.http.get("/readyz").json()["parts"]
    rounds = checks(installed)
    assert all(isinstance(each, SelfChecked) and not each.damaged for each in rounds)
    assert [each.size for each in rounds] == sorted({each.size for each in rounds})
    (installed.settings.state / "scrub.json").write_bytes(b"{")  # nothing is lost with it
    with running(installed):
        until(lambda: len(checks(installed)) > len(rounds), "it was not begun anew")
    assert installed.verify().ok


def test_damage_is_recorded_shown_and_stops_nobody(installed: Installed) -> None:
    with running(installed) as service:
        assert service.chat(model="local").status_code == 200
        damage(installed)
        until(
            lambda: (
                "повреждённых мест в журнале: 1" in service.http.get("/readyz").json()["parts"].get("audit-scrub", "")
            ),
            "nobody was told",
        )
        assert service.http.get("/readyz").status_code == 200
        assert service.chat(model="local").status_code == 200
    with closing(sqlite3.connect(installed.settings.log.path)) as connection:
        kinds = connection.execute("SELECT count(*) FROM records WHERE hex(substr(header, 3, 2)) = '003E'").fetchone()
    assert kinds[0] >= 1  # ScrubDamaged is kind 62


def test_an_officer_has_it_read_now(tmp_path: Path, upstream: Upstream) -> None:
    staff = '[[staff]]\nid = "petrova"\nduties = ["security"]\nfile = "state/keys/petrova"\n'
    installed = Installed(tmp_path, upstream.base_url, extra=staff + "[audit]\nscrub_hours = 0\n")
    key = installed.settings.state / "keys/petrova"
    with running(installed) as service:
        assert service.chat(model="local").status_code == 200
        sound = appliance("audit", "scrub", "--officer-key", key, "--url", service.url)
        assert (sound.exit_code, "повреждений нет" in sound.output) == (0, True), sound.output
        damage(installed)
        found = appliance("audit", "scrub", "--officer-key", key, "--url", service.url)
        assert (found.exit_code, "ПОВРЕЖДЕНИЕ: записи 1–1: байты не совпадают с хешами" in found.output) == (1, True)
        stranger = service.http.post("/v1/admin/log/scrub")
        assert stranger.status_code in (401, 403)
        assert "повреждённых мест" in service.http.get("/readyz").json()["parts"]["audit-scrub"]
