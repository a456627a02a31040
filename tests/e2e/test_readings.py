"""Whoever reads the log by the command line is in the log: at once while the service runs, at its next start when it does not."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from appliance.events import LogRead, ReadWhat
from appliance.readings import note, noted
from tests.e2e.running import Installed, running
from tests.e2e.test_command_line import appliance


@pytest.fixture
def used(tmp_path: Path, upstream) -> Installed:
    installed = Installed(tmp_path, upstream.base_url)
    with running(installed) as service:
        assert service.chat(model="local").status_code == 200
    return installed


def readings(installed: Installed) -> list[tuple[str, int]]:
    return [(event.what, event.records) for event in installed.events(LogRead)]


def test_every_command_that_shows_the_log_is_recorded(used: Installed, tmp_path: Path) -> None:
    size = len(used.records())
    for command in (
        ("list",),
        ("list", "--last", 2, "--json"),
        ("show", 1),
        ("prove", 1, "--out", tmp_path / "closed"),
        ("export", tmp_path / "bundle"),
    ):
        assert appliance("audit", *command, "--settings", used.path).exit_code == 0
    folder = used.settings.policy_path
    assert appliance("policy", "replay", folder, "--settings", used.path).exit_code == 0
    assert readings(used) == []  # nobody but the service writes
    assert len(noted(used.settings.readings)) == 6
    began = int(time.time())
    with running(used):
        until = time.monotonic() + 30
        while noted(used.settings.readings):
            assert time.monotonic() < until, "the notes were not recorded"
            time.sleep(0.02)
    assert sorted(readings(used)) == sorted(
        [("list", size), ("list", 2), ("show", 1), ("prove", 1), ("export", size), ("replay", size)]
    )
    events = used.events(LogRead)
    assert {event.officer for event in events} == {f"uid-{os.getuid()}"}
    assert all(began - 600 < event.time <= began for event in events)
    assert used.verify().ok


def test_what_shows_nothing_of_a_record_is_no_reading(used: Installed) -> None:
    for command in (("verify",), ("checkpoint",)):
        assert appliance("audit", *command, "--settings", used.path).exit_code == 0
    assert noted(used.settings.readings) == []


def test_what_cannot_be_noted_is_not_shown(used: Installed, tmp_path: Path) -> None:
    used.settings.readings.write_text("in the way")
    shown = appliance("audit", "list", "--settings", used.path)
    assert (shown.exit_code, "отправка" in shown.output, "не показан" in shown.output) == (2, False, True)
    exported = appliance("audit", "export", tmp_path / "bundle", "--settings", used.path)
    assert (exported.exit_code, (tmp_path / "bundle").exists()) == (2, False)


def test_a_file_that_is_no_note_is_put_aside_and_stops_nothing(used: Installed) -> None:
    note(used.settings.readings, ReadWhat.SHOW, 1)
    (used.settings.readings / "0-x.json").write_text("{")
    with running(used) as service:
        until = time.monotonic() + 30
        while noted(used.settings.readings):
            assert time.monotonic() < until, "the notes were not recorded"
            time.sleep(0.02)
        assert service.chat(model="local").status_code == 200
    assert readings(used) == [("show", 1)]
    assert [path.name for path in used.settings.readings.iterdir()] == ["0-x.unreadable"]
