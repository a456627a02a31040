"""`appliance doctor` finds what is wrong with an installation, says what to do, and leaves everything as it was."""

from __future__ import annotations

import asyncio
import json
import socket
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from appliance import doctor
from appliance.events import Outcome, Status, entry
from audit import AuditLog, create_kek
from tests.e2e.running import Installed, running
from tests.e2e.test_command_line import appliance
from tests.e2e.upstream import Upstream


@pytest.fixture
def used(tmp_path: Path, upstream: Upstream) -> Installed:
    installed = Installed(tmp_path, upstream.base_url)
    with running(installed) as service:
        assert service.chat(model="local").status_code == 200
    return installed


def examined(installed: Installed, *options: str) -> tuple[int, dict[str, set[str]]]:
    """Exit code, and the names of what was found at each level."""
    done = appliance("doctor", "--json", *options, "--settings", installed.path)
    found = json.loads(done.output)
    assert all(check["words"] and (check["level"] == "ok" or check["hint"]) for check in found)
    levels = {
        level: {check["name"] for check in found if check["level"] == level} for level in ("ok", "warning", "failure")
    }
    return done.exit_code, levels


def test_a_healthy_installation_has_no_failures_and_is_left_alone(used: Installed) -> None:
    before = {path: path.read_bytes() for path in used.settings.state.rglob("*") if path.is_file()}
    code, found = examined(used, "--reach")
    assert code == 0
    assert found["failure"] == set()
    assert {"Python", "настройки", "диск", "журнал", "поставщики"} <= found["ok"]
    assert {"свидетели", "ключ журнала", "сотрудники", "резервные копии"} <= found["warning"]
    after = {path: path.read_bytes() for path in used.settings.state.rglob("*") if path.is_file()}
    assert {path for path in before if before[path] != after[path]} == set()
    shown = appliance("doctor", "--settings", used.path)
    assert (shown.exit_code, "Отказов: 0" in shown.output, "→" in shown.output) == (0, True, True)


def test_a_new_installation_is_told_what_it_lacks(tmp_path: Path, upstream: Upstream) -> None:
    installed = Installed(tmp_path, upstream.base_url)
    installed.settings.kek_file.unlink()
    code, found = examined(installed)
    assert (code, "файлы ключей" in found["failure"], "журнал" in found["ok"]) == (1, True, True)


def with_port(installed: Installed, port: int) -> None:
    installed.path.write_text(installed.path.read_text().replace("port = 0", f"port = {port}"))


def key_of_another(installed: Installed) -> None:
    installed.settings.kek_file.unlink()
    create_kek(installed.settings.kek_file)


def bit_rot(installed: Installed) -> None:
    with closing(sqlite3.connect(installed.settings.log.path)) as connection:
        connection.execute("UPDATE records SET body = x'00' WHERE seq = (SELECT max(seq) FROM records)")
        connection.commit()


def from_the_future(installed: Installed) -> None:
    async def run() -> None:
        clock = lambda: time.time_ns() // 1000 + 3_600_000_000  # noqa: E731
        async with AuditLog.open(installed.settings.log, clock=clock) as log:
            await log.append(entry(Outcome(intent=0, status=Status.COMPLETED)))

    asyncio.run(run())


FAULTS: dict[str, tuple[Callable[[Installed], object], str]] = {
    "another key": (key_of_another, "журнал"),
    "a key that others read": (lambda it: it.settings.kek_file.chmod(0o644), "настройки"),
    "a damaged last record": (bit_rot, "журнал"),
    "no public key": (lambda it: it.settings.log.signing_key_file.with_suffix(".pub").unlink(), "журнал"),
    "a policy that is none": (lambda it: (it.path.parent / "policy" / "extra.toml").write_text("x = 1"), "настройки"),
    "a record from the future": (from_the_future, "часы"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_found_and_named(used: Installed, name: str) -> None:
    spoil, where = FAULTS[name]
    spoil(used)
    code, found = examined(used)
    assert code == 1
    assert where in found["failure"]


def test_a_port_of_somebody_else_is_a_failure_and_our_own_is_not(used: Installed) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with_port(used, other.getsockname()[1])
        code, found = examined(used)
        assert (code, "порт" in found["failure"]) == (1, True)
    with running(used) as service:
        with_port(used, int(service.url.rsplit(":", 1)[1]))
        code, found = examined(used)
        assert (code, "порт" in found["ok"]) == (0, True)


def test_a_provider_that_cannot_be_reached_is_a_failure_only_when_asked_for(tmp_path: Path) -> None:
    installed = Installed(tmp_path)
    with running(installed):
        pass
    assert examined(installed)[0] == 0
    code, found = examined(installed, "--reach")
    assert (code, "поставщики" in found["failure"]) == (1, True)


def test_a_look_that_fails_is_a_finding_and_the_rest_goes_on(used: Installed, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(doctor, "_disk", broken)
    code, found = examined(used)
    assert (code, "диск" in found["failure"], "журнал" in found["ok"]) == (1, True, True)


def test_little_space_is_told(used: Installed, monkeypatch: pytest.MonkeyPatch) -> None:
    real = doctor.shutil.disk_usage
    for free, level in ((1 << 20, "failure"), (1 << 30, "warning")):
        monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path, free=free: real(path)._replace(free=free))
        assert "диск" in examined(used)[1][level]
